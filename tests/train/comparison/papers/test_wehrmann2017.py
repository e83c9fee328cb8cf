"""The models of Wehrmann and Barros 2017 on a store, from training to prediction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from extract.errors import UsageError
from extract.expert import Column, Embedding, TableSpec
from extract.fingerprint import canonical_json, digest
from extract.tables import table_schema
from pipeline.storage.location import location
from pipeline.store.footer import PartHeader, VideoState
from pipeline.store.layout import Store, Target
from pipeline.store.parts import VideoRows, merge_part
from pipeline.store.videos import read_shards
from tests.fixtures.genre_store import GENRES, genres_of
from train.comparison.grid import GridConfig, compare_fits
from train.errors import DataError
from train.importers.writing import Source, write_store
from train.loading.features import FeatureSet
from train.loading.stream import Loader
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.predict import predict_store
from train.runs.run_folder import RunFolder
from train.settings import Hardware, choose, parse_assignments

CPU = Hardware(device="cpu")
FILMS = 30
RASHEED = ("average_shot_length_seconds", "colour_variance", "lighting_key", "motion_content")
LOWLEVEL = TableSpec(
    columns=(Column("scenes", "int32", "how many"), *(Column(name, "float32", name) for name in RASHEED)),
    embedding=Embedding((5,), float32=True, nan=True),
)


def shown(video_id: str) -> NDArray[np.float64]:
    """(genres,), 2 where the film has the genre."""
    return 2.0 * np.array([genre in genres_of(int(video_id)) for genre in GENRES])


def frames(video_id: str) -> NDArray[np.float32]:
    """2 to 5 pictures in ten crops, which show the genres, the middle one best."""
    random = np.random.default_rng(int(video_id))
    pictures = 2 + int(video_id) % 4
    rows = 0.5 * random.normal(size=(pictures, 10, 6))
    rows[:, :, :3] += shown(video_id) / 2
    rows[:, 4, :3] += shown(video_id)
    return rows.reshape(-1, 6).astype(np.float32)


def sounds(video_id: str) -> NDArray[np.float32] | None:
    """Up to 6 segments of 4 moments and 5 frequencies; every sixth film is silent."""
    random = np.random.default_rng((1, int(video_id)))
    segments = int(video_id) % 6
    rows = random.normal(size=(segments, 4, 5))
    rows[:, :, :3] += shown(video_id)
    return rows.reshape(-1, 20).astype(np.float32) if segments else None


def descriptors(video_id: str) -> dict[str, float]:
    random = np.random.default_rng((2, int(video_id)))
    values = np.append(shown(video_id), 0) + 0.1 * random.normal(size=4)
    found = dict(zip(RASHEED, map(float, values), strict=True))
    return found | ({"motion_content": float("nan")} if int(video_id) % 5 == 0 else {})


def add_lowlevel(store: Store) -> None:
    """The table ``lowlevel_video``, as the expert ``lowlevel`` writes it."""
    made_of = {"expert": "lowlevel"}
    target = Target("lowlevel", digest(canonical_json(made_of)), ("lowlevel_video",), (), made_of, {})

    def rows(video_id: str) -> VideoRows:
        found = descriptors(video_id)
        vector = [float("nan"), *(found[name] + 1 for name in RASHEED)]
        columns = [
            pa.array([video_id]), pa.array([0], pa.int32()), pa.array([0.0]), pa.array([9.0]),
            pa.array([int(video_id)], pa.int32()),
            *(pa.array([found[name]], pa.float32()) for name in RASHEED),
            pa.FixedSizeListArray.from_arrays(pa.array(vector, pa.float32()), 5),
        ]  # fmt: skip
        batch = pa.RecordBatch.from_arrays(columns, schema=table_schema(LOWLEVEL, dtype="float32"))
        return VideoRows(video_id, VideoState("ok"), iter([batch]))

    for shard in read_shards(store):
        header = PartHeader(target, "lowlevel_video", shard.index, LOWLEVEL, "float32")
        merge_part(store, header, (rows(video.video_id) for video in shard.videos))
    store.record_run([*store.targets(), target], options={}, versions={}, started="2024-01-01T00:00:00Z")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ``features`` and ``labels.csv`` are."""
    made = tmp_path_factory.mktemp("wehrmann")
    ids = [f"{i:03d}" for i in range(FILMS)]
    sources = [
        Source("resnet152", 6, frames, {"settings": {"crops": "ten"}}),
        Source("spectrogram", 20, sounds, {"settings": {}}),
    ]
    add_lowlevel(write_store(made / "features", ids, sources, options={}, shard_size=8))
    lines = ["video_id,genres", *(f"{name},{'|'.join(genres_of(int(name)))}" for name in ids)]
    (made / "labels.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return made


def train(folder: Path, run: Path, model: str, *assignments: str, experts: tuple[str, ...] = ()) -> RunFolder:
    given = ["training.epochs=8", "training.batch_size=8", "training.learning_rate=0.01", *assignments]
    choices = choose(model=model, experts=experts, options=parse_assignments(given))
    return fit(FitConfig(folder / "features", folder / "labels.csv", run, choices, CPU))


def reached(run: RunFolder) -> float:
    figures = json.loads((run.root / "metrics.json").read_text("utf-8"))["figures"]
    assert figures["ap_macro"]["random"] < 0.7
    return float(figures["ap_macro"]["value"])


@pytest.mark.slow
def test_ctt_finds_the_ten_crops_by_itself(folder: Path, tmp_path: Path) -> None:
    run = train(folder, tmp_path / "run", "ctt", "model.filters=16", "model.head=A")
    assert run.config()["inputs"] == {"resnet152": 6} and run.config()["options"]["model"]["crops"] == 10
    assert reached(run) > 0.85
    found = predict_store(run, folder / "features", hardware=CPU)
    assert np.array_equal(found.scores, predict_store(run, folder / "features", hardware=CPU).scores)


@pytest.mark.slow
def test_an_lstm_sees_the_pictures_that_fit_its_cap(folder: Path, tmp_path: Path) -> None:
    run = train(folder, tmp_path / "run", "lstm", "model.units=12", "resnet152.cap=3")
    assert run.config()["options"]["steps"]["resnet152"]["rows"] == 10
    assert run.config()["options"]["model"] == {
        "crops": 10, "padded": 0, "units": 12, "dropout": 0.1
    }  # fmt: skip
    assert reached(run) > 0.8


@pytest.mark.slow
def test_the_two_networks_are_fused_with_a_share_that_the_validation_split_chose(
    folder: Path, tmp_path: Path
) -> None:
    options = ("model.filters=16", "model.moments=4", "model.parts=3", "spectrogram.cap=3")
    run = train(
        folder, tmp_path / "run", "ctt-tn", *options, "spectrogram.how=stratified", "spectrogram.tested=99"
    )
    steps = run.config()["options"]["steps"]["spectrogram"]
    assert (steps["cap"], steps["how"], steps["tested"]) == (3, "stratified", 99)
    assert reached(run) > 0.85
    buffers = load_file(run.model_path)
    share = float(buffers["share"])
    assert 0 <= share <= 1 and share * 20 == pytest.approx(round(share * 20))
    model: Any = run.load_model()
    assert float(model.share) == share


@pytest.mark.slow
def test_the_two_networks_are_trained_and_stopped_each_on_its_own(folder: Path, tmp_path: Path) -> None:
    options = (
        "model.filters=16", "training.epochs=60", "training.patience=3", "training.monitor=micro",
    )  # fmt: skip
    both = train(folder, tmp_path / "both", "ctt-tn", "model.moments=4", "model.parts=3", *options)
    went = json.loads(both.training_path.read_text("utf-8"))
    frames, sound = (went["networks"][name] for name in ("frames", "sound"))
    assert frames["epochs"] != sound["epochs"] and frames["best_epoch"] != sound["best_epoch"]
    for network in (frames, sound):
        assert network["epochs"] == network["best_epoch"] + 3 < 60
    alone = train(folder, tmp_path / "alone", "ctt", *options)
    assert json.loads(alone.training_path.read_text("utf-8"))["best_epoch"] == frames["best_epoch"]
    weights = load_file(both.model_path)
    for name, value in load_file(alone.model_path).items():
        assert torch.equal(weights[f"frames.{name}"], value), name


def test_a_model_that_needs_one_of_two_experts_says_which(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'ctt' needs exactly one expert, .* got resnet152, spectrogram"):
        train(folder, tmp_path / "a", "ctt", experts=("resnet152", "spectrogram"))
    with pytest.raises(UsageError, match=r"6 values, which are not 4 moments"):
        train(folder, tmp_path / "b", "ctt-s", "model.moments=4", experts=("resnet152",))
    with pytest.raises(UsageError, match=r"'ctt-tn' needs spectrogram and one .*, but got resnet152"):
        train(folder, tmp_path / "c", "ctt-tn", experts=("resnet152",))


@pytest.mark.slow
def test_a_machine_sees_rasheeds_descriptors_or_the_audio_visual_set(folder: Path, tmp_path: Path) -> None:
    table, columns = ("lowlevel_video",), f"lowlevel_video.columns={','.join(RASHEED)}"
    four = train(folder, tmp_path / "vllf", "svm", columns, experts=table)
    assert four.config()["inputs"] == {"lowlevel_video": 4} and reached(four) > 0.85
    found = predict_store(four, folder / "features", hardware=CPU)
    assert found.ids == tuple(f"{i:03d}" for i in range(FILMS)) and np.isfinite(found.scores).all()
    both = train(folder, tmp_path / "av", "svm", f"{columns},embedding", experts=table)
    assert both.config()["inputs"] == {"lowlevel_video": 9} and reached(both) > 0.85
    with pytest.raises(DataError, match=r"has no numeric column 'hue'; it has scenes, average_shot"):
        train(folder, tmp_path / "hue", "svm", "lowlevel_video.columns=hue", experts=table)


def test_columns_are_read_as_vectors(folder: Path) -> None:
    columns = {"lowlevel_video": ("lighting_key", "embedding", "scenes", "motion_content")}
    features = FeatureSet.open(folder / "features", ["lowlevel_video"], columns=columns)
    assert features.dims == {"lowlevel_video": 8}
    for batch in Loader(features, ["003", "005"]):
        values = batch.features["lowlevel_video"][:, 0]
        for row, name in zip(values, batch.ids, strict=True):
            found = descriptors(name)
            vector = [np.nan, *(found[each] + 1 for each in RASHEED)]
            expected = [found["lighting_key"], *vector, float(name), found["motion_content"]]
            torch.testing.assert_close(row, torch.tensor(expected), equal_nan=True)


@pytest.mark.slow
def test_columns_hold_in_a_comparison(folder: Path, tmp_path: Path) -> None:
    report = compare_fits(
        GridConfig(
            out=tmp_path / "report",
            features=location(folder / "features"),
            labels=folder / "labels.csv",
            experts=("lowlevel_video",),
            models=("svm",),
            options={"lowlevel_video": {"columns": "lighting_key,colour_variance"}},
            hardware=CPU,
            seeds=(0,),
            tables=("models",),
        )
    )
    assert "failed" not in report.read_text("utf-8")
    (run,) = (tmp_path / "report" / "runs").iterdir()
    assert RunFolder(run).config()["inputs"] == {"lowlevel_video": 2}

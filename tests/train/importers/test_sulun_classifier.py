"""Published classifiers give the reference logits; their configuration is read without running anything."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from tests.parity import inputs_rule, make_checkpoint, weights_rule
from train.cli.commands import app
from train.errors import DataError
from train.importers.sulun_classifier import import_classifier
from train.importers.writing import Source, write_store
from train.runs.predict import predict_store, predict_videos

PARITY = Path(__file__).parents[2] / "parity"
PLACES = ("asr_sentiment", "beats", "clip", "face_emotion", "ocr_sentiment")
NAMES = (
    "mlp",
    "mlp_hidden",
    "single_transformer",
    "single_transformer_1280",
    "multi_transformer",
    "multi_transformer_1280",
    "multi_transformer_fixed",
    "multi_transformer_raw",
)


def sines(rows: int, width: int) -> torch.Tensor:
    angles = torch.arange(rows).unsqueeze(1) * torch.exp(
        torch.arange(0, width, 2) * (-np.log(10_000.0) / width)
    )
    return torch.stack([angles.sin(), angles.cos()], dim=2).reshape(rows, 1, width)


def published(name: str, folder: Path, **more: Any) -> tuple[Path, Path, Any]:
    """``MODEL.pt`` and ``MODEL_config.pt`` as they are published, and the reference."""
    reference = np.load(PARITY / f"sulun_{name}.npz")
    table = weights_rule.load_table(PARITY / "shapes" / f"sulun_{name}.json")
    keys: Any = table["keys"]
    fixed = {key: sines(*keys.pop(key)[::2]) for key in table["buffers"]}
    state = make_checkpoint.state_dict({**table, "buffers": []}, int(reference["seed"]))
    config = json.loads(str(reference["config"]))
    paths = {"output_dir": folder, "device": torch.device("cpu"), "weights": None}
    torch.save({**state, **fixed}, folder / "model.pt")
    torch.save({**config, **paths, **more}, folder / "model_config.pt")
    return folder / "model.pt", folder / "model_config.pt", reference


def store_of(reference: Any, folder: Path) -> Path:
    """The cases of a reference as videos."""
    config, cases = json.loads(str(reference["config"])), json.loads(str(reference["cases"]))

    def vectors(expert: str, video_id: str) -> NDArray[np.float32] | None:
        case, count = int(video_id), cases[int(video_id)][expert]
        seed = 1000 * case + 10 * PLACES.index(expert) + int(reference["seed_offset"])
        dim = config["feature_dims"][expert]
        return inputs_rule.normal((count, dim), seed).astype(np.float32) if count else None

    sources = [
        Source(name, dim, lambda video_id, name=name: vectors(name, video_id), {}, dtype="float32")
        for name, dim in config["feature_dims"].items()
    ]
    write_store(folder / "features", [str(i) for i in range(len(cases))], sources, options={})
    return folder / "features"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_published_classifier_gives_the_reference_logits(name: str, tmp_path: Path) -> None:
    model, config, reference = published(name, tmp_path)
    run = import_classifier(model, config, tmp_path / "run")
    found = predict_store(run, store_of(reference, tmp_path))
    for video_id, scores in zip(found.ids, found.scores, strict=True):
        logits = torch.tensor(reference[f"case{video_id}_logits"])
        torch.testing.assert_close(torch.tensor(scores), logits.sigmoid(), atol=3e-5, rtol=0)
    assert found.ids == ("0", "1", "2", "3") and len(found.genres) == 21


@pytest.mark.slow
def test_the_command_makes_a_run_that_predict_and_evaluate_use(tmp_path: Path) -> None:
    model, config, reference = published("mlp", tmp_path)
    features = store_of(reference, tmp_path)
    genres = [f"g{i:02d}" for i in range(21)]
    labels = tmp_path / "labels.csv"
    labels.write_text("video_id,genres\n" + "".join(f"{i},{'|'.join(genres[i::4])}\n" for i in range(4)))
    run = tmp_path / "run"
    arguments = ["import", "sulun-classifier", str(model), str(config), "--out", str(run)]
    arguments += ["--genres", ",".join(genres), "--features", str(features), "--labels", str(labels)]
    for command in (
        arguments,
        ["evaluate", "--run", str(run)],
        ["predict", "--run", str(run), str(features)],
    ):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, (result.output, result.exception)
    figures = json.loads((run / "metrics.json").read_text())["figures"]
    with pytest.raises(DataError, match=r"asr_sentiment, beats.* were imported.*--as clip=clip"):
        predict_videos(run, tmp_path)
    assert {"ap_macro", "precision_macro@0.5", "recall_macro@0.5"} <= set(figures)


def test_a_configuration_that_would_run_something_is_refused(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    model, config, _ = published("mlp", tmp_path, more=Runs())
    with pytest.raises(DataError, match=r"model_config.pt' is not of a published classifier"):
        import_classifier(model, config, tmp_path / "run")
    config.write_bytes(pickle.dumps({"model": Runs()}))
    with pytest.raises(DataError, match="not of a published classifier"):
        import_classifier(model, config, tmp_path / "run")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "run").exists()


def test_features_are_scaled_only_where_the_configuration_says_so(tmp_path: Path) -> None:
    from train.loading.normalise import Normaliser

    model, config, _ = published("mlp", tmp_path)
    run = import_classifier(model, config, tmp_path / "plain")
    plain = Normaliser.load(run.normalisation_path)
    assert not any(mean.any() for mean in plain.mean.values())
    assert all((std == 1).all() for std in plain.std.values())
    model, config, reference = published("mlp", tmp_path, standardize=True)
    with pytest.raises(DataError, match=r"scaled \(standardize\), .* --published features.pkl"):
        import_classifier(model, config, tmp_path / "run")
    names = json.loads(str(reference["config"]))["features"]
    stats = {name: {"mean": 2.0, "std": 4.0} for name in names}
    features = tmp_path / "features.pkl"
    features.write_bytes(pickle.dumps({"stats": stats, "idx_to_label": [f"g{i}" for i in range(21)]}))
    scaled = import_classifier(model, config, tmp_path / "run", published=features)
    known = Normaliser.load(scaled.normalisation_path)
    assert {float(mean[0]) for mean in known.mean.values()} == {2.0}
    assert {float(std[0]) for std in known.std.values()} == {4.0}
    assert scaled.config()["genres"][3] == "g3"


def test_weights_of_another_classifier_are_refused(tmp_path: Path) -> None:
    model, config, _ = published("mlp", tmp_path, n_layers=2, d_model=8)
    with pytest.raises(DataError, match="has not the weights of"):
        import_classifier(model, config, tmp_path / "run")


@pytest.mark.slow
def test_a_published_classifier_predicts_from_a_trailer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_trailers: list[Path]
) -> None:
    """Import, then predict by the experts that are named for its five features, with random weights."""
    monkeypatch.setattr("extract.nets.vit_encoder.LAYERS", 1)
    monkeypatch.setattr("extract.nets.roberta.LAYERS", 1)
    model, config, _ = published("single_transformer", tmp_path)
    run = tmp_path / "run"
    made_by = [
        "clip=clip:resize=shorter",
        "beats=beats",
        "face_emotion=face_emotion:min_score=0",
        "ocr_sentiment=sentiment",
        "asr_sentiment=sentiment",
        "whisper=whisper:model=tiny,sample_len=3",
        "scenes=scenes:detector=ffmpeg,threshold=0.27",
    ]
    out = tmp_path / "scores.csv"
    for command in (
        ["import", "sulun-classifier", str(model), str(config), "--out", str(run)],
        ["predict", "--run", str(run), str(small_trailers[0]), "--random-weights", "0", "--out", str(out)]
        + [part for name in made_by for part in ("--as", name)],
    ):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, (result.output, result.exception)
    said = " ".join(result.output.split())
    assert "assumed, as the run does not record it" in said and "clip (resize=shorter)" in said
    header, row = out.read_text().splitlines()
    scores = np.array(row.split(",")[1:], float)
    assert header.startswith("video_id,genre 0,") and row.startswith("a,")
    assert len(scores) == 21 and (scores > 0).all() and (scores < 1).all() and scores.std() > 0

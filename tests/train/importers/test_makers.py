"""A run of imported features sees videos once it is told what made them; what is recorded it knows itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import pipeline
from extract.errors import UsageError
from pipeline.store.layout import open_store
from train.cli.commands import app
from train.errors import DataError
from train.importers.makers import assumed_experts, parse_makers
from train.importers.writing import Source, add_to_store
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.predict import predict_videos
from train.runs.run_folder import RunFolder
from train.settings import Hardware, choose

CPU = Hardware(device="cpu")


@pytest.fixture
def mixed(tmp_path: Path, small_trailers: list[Path], planted_experts: None) -> RunFolder:
    """A run of ``lowlevel``, which was extracted here, and ``trouble``, which was imported."""
    videos, options = small_trailers[0].parent, {"scenes": {"detector": "content"}}
    for name in ("lowlevel", "trouble"):
        pipeline.run(videos, tmp_path / name, experts=[name], options=options, device="cpu", dtype="float32")
    rows = pipeline.read(tmp_path / "trouble", "trouble").to_pylist()

    def vectors(video_id: str) -> NDArray[np.float32]:
        return np.array([row["embedding"] for row in rows if row["video_id"] == video_id], np.float32)

    dim = len(rows[0]["embedding"])
    source = Source("trouble", dim, vectors, {"from": "elsewhere"}, dtype="float32")
    add_to_store(open_store(tmp_path / "lowlevel"), [source], options={})
    labels = tmp_path / "labels.csv"
    labels.write_text("video_id,genres,part\na,calm,train\nb,wild,train\nc,calm|wild,val\n")
    small: dict[str, dict[str, Any]] = {
        "model": {"width": 8},
        "training": {"epochs": 2, "learning_rate": 0.01},
        "split": {"by": "column", "name": "part"},
    }
    choices = choose(model="mlp", experts=["lowlevel", "trouble"], options=small)
    return fit(FitConfig(tmp_path / "lowlevel", labels, tmp_path / "run", choices, CPU))


def test_a_run_of_imported_and_own_features_predicts_from_videos(
    mixed: RunFolder, small_trailers: list[Path], tmp_path: Path
) -> None:
    """Only the imported table needs a maker, and the shots are those that the run has recorded."""
    videos, out = small_trailers[0].parent, tmp_path / "scores.csv"
    arguments = ["predict", "--run", str(mixed.root), str(videos), "--device", "cpu", "--out", str(out)]
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, DataError)
    assert "trouble was imported, which does not say what made it" in str(refused.exception)
    assert "add --as trouble=trouble," in str(refused.exception)
    done = CliRunner().invoke(app, [*arguments, "--as", "trouble=trouble"])
    assert done.exit_code == 0, (done.output, done.exception)
    said = " ".join(done.output.split())
    assert "imported features were made as by trouble (default options)" in said and "lowlevel (" not in said
    written = {row["video_id"]: row["score"] for row in pq.read_table(mixed.predictions_path).to_pylist()}
    scores = [line.split(",") for line in out.read_text().splitlines()[1:]]
    assert {name for name, *_ in scores} == written.keys() == {"a", "b", "c"}
    for name, *row in scores:
        np.testing.assert_allclose(np.array(row, float), written[name], atol=1e-5)
    refuse_what_is_recorded(mixed, small_trailers[0])


def refuse_what_is_recorded(run: RunFolder, video: Path) -> None:
    """What is recorded needs no maker, takes none, and is not drawn anew."""
    config, makers = run.config(), parse_makers(["trouble=trouble"])
    assert list(assumed_experts(config, makers)) == ["trouble"]
    with pytest.raises(UsageError, match="records how 'scenes' was made; leave this out"):
        assumed_experts(config, parse_makers(["trouble=trouble", "scenes=scenes:detector=ffmpeg"]))
    config["experts"]["lowlevel"]["made_of"]["weights"] = {"network": "0" * 64}
    run.write_json(run.config_path, config)
    with pytest.raises(UsageError, match=r"--random-weights 3: .* published weights of 'lowlevel'; leave"):
        predict_videos(run, video, makers=makers, random_seed=3, hardware=CPU)


@pytest.mark.parametrize(
    ("makers", "said"),
    [
        (["clip=clip"], "face_emotion.* were imported"),
        (["clip=clip", "clip=clip"], "names 'clip' twice"),
        (["clip"], "the form is --as TABLE=EXPERT"),
        (["clip=clip:resize"], "the form is --as TABLE=EXPERT"),
        (["clip=beats"], "'beats' makes beats"),
        (["clip=klip"], "no expert"),
        (["clip=clip:resize=tall"], "resize"),
        (["ocr_sentiment=sentiment", "asr_sentiment=sentiment:ocr_text=raw"], "two sets of options"),
        (["beats=beats", "shots=scenes"], "the run reads no 'shots'"),
    ],
)
def test_makers_that_cannot_be(makers: list[str], said: str) -> None:
    others = ["asr_sentiment=sentiment", "beats=beats", "clip=clip", "face_emotion=face_emotion",
              "ocr_sentiment=sentiment"]  # fmt: skip
    given = {text.partition("=")[0] for text in makers}
    if "were imported" not in said:
        makers = [*makers, *(other for other in others if other.partition("=")[0] not in given)]
    inputs = {"asr_sentiment": 768, "beats": 768, "clip": 512, "face_emotion": 768, "ocr_sentiment": 768}
    with pytest.raises((DataError, UsageError), match=said):
        assumed_experts({"experts": {}, "inputs": inputs}, parse_makers(makers))
    with pytest.raises(UsageError, match="its vectors have 512 values, the run's 500"):
        assumed_experts({"experts": {}, "inputs": {"clip": 500}}, parse_makers(["clip=clip"]))
    with pytest.raises(DataError, match=r"words was imported, .* no expert here makes words: predict"):
        assumed_experts({"experts": {}, "inputs": {"words": 300}}, {})

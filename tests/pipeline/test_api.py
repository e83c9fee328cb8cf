"""``pipeline.run``: whatever is wrong among its arguments is said before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pipeline
from extract.errors import MarqueeError, UsageError
from pipeline import Cluster, RunConfig

NAN = float("nan")
WRONG: dict[str, tuple[Any, ...]] = {
    "videos": (None, 3, "", b"x", ["clips"], "nope"),
    "out": (None, 3, "", "file", "clips"),
    "preset": ("nope", 3, ["offline"], "ofline"),
    "experts": ("clip", [], [3], 3, {"scenes": 1}, ["nope"]),
    "options": (3, "a=b", ["scenes"], {"scenes": 3}, {"nope": {}}, {"scenes": {"nope": 1}}, {3: {}}),
    "weights": ("nope", 3, "", "file"),
    "download": (1, "no", None),
    "random_seed": (-1, 2**63, 1.5, "1", True),
    "device": ("gpu", "cuda:x", "meta", 0, None),
    "precision": ("half", "int8", 16),
    "dtype": ("float8", "float64", None),
    "decode": ("gpu", "nvdec", None, "cuda"),
    "shard_size": (0, -1, 1.5, "64", True, None),
    "retry_failed": (1, "yes", None),
    "batch_size": (0, -1, 2.5, "16", True),
    "decoders": (0, -1, 1.5, "2", True),
    "checkpoint_seconds": (0, -1, NAN, "60", True, None),
    "cluster": (2, {"workers": 2}, "tcp://host:1"),
    "progress": (True, "yes"),
    "worker": (2,),
    "expert": (["scenes"],),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"no video")
    (tmp_path / "file").write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_what_is_wrong_is_refused_before_anything_is_made(place: Path, name: str, value: Any) -> None:
    fine: dict[str, Any] = {"videos": "clips", "out": "out", "experts": ["spectrogram"], "device": "cpu"}
    before = sorted(place.rglob("*"))
    with pytest.raises(MarqueeError) as caught:
        pipeline.run(**(fine | {name: value}))
    assert "\n" not in str(caught.value)
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"worker": 2},
        {"workers": -1},
        {"workers": True},
        {"workers": "2"},
        {"gpus": "x"},
        {"gpus": [0]},
        {"gpus": ""},
        {"scheduler": "nowhere"},
        {"scheduler": 8786},
        {"workers": 1, "worker_lifetime_seconds": 0},
        {"workers": 1, "worker_lifetime_seconds": NAN},
        {"workers": 1, "worker_memory_bytes": 1.5},
    ],
)
def test_workers_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Cluster(**wrong)


def test_unknown_names_say_what_was_meant() -> None:
    with pytest.raises(UsageError, match=r"pipeline\.run has no argument 'device_'.* did you mean 'device'"):
        pipeline.run("a", "b", device_="cpu")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match=r"Cluster has no field 'worker'.* did you mean 'workers'"):
        Cluster(worker=2)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match=r"RunConfig has no field 'decoder'.* did you mean 'decoders'"):
        RunConfig(videos=Path("a"), out=Path("b"), experts=("scenes",), decoder=1)  # type: ignore[call-arg]


def test_a_mistyped_folder_is_said_before_weights_are_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere': No such file or directory; give a folder"):
        pipeline.run(tmp_path / "nowhere", tmp_path / "out", experts=["clip"], download=False)

"""Flow kept as pictures beside a run: with the rows, once, and without a change of any row."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from extract.ops.motion.flow_images import folder_name
from pipeline import read, run

I3D = {"modalities": "flow", "frames": 9, "step": 9, "fps": 5.0, "flow": "fast"}


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """I3D sees the middle of the flow, two stacks at a time: it is here for the flow alone."""
    monkeypatch.setattr("extract.experts.i3d.CROP", 64)
    monkeypatch.setattr("extract.ops.network.batching.CPU_BATCH", 2)


def go(videos: Path, out: Path, **flow: Any) -> None:
    """Both experts of flow, side by side."""
    options: dict[str, dict[str, Any]] = {
        "scenes": {"detector": "content"},
        "i3d": I3D,
        "flow": {"flow": "fast", **flow},
    }
    run(videos, out, experts=("i3d", "flow"), options=options, device="cpu", random_seed=0)


def rows(out: Path, table: str) -> dict[str, Any]:
    return dict(read(out, table).to_pydict())


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with one film of two shots of 16 frames, 96 x 64, each a texture that pans."""
    folder = tmp_path / "films"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(size=(2, 8, 14, 3))
    with av.open(str(folder / "a.mp4"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(32):
            shot, place = divmod(index, 16)
            texture = cv2.resize((60 + 100 * shot + 25 * noise[shot]).clip(0, 255), (140, 64)).astype(
                np.uint8
            )
            image = np.ascontiguousarray(texture[:, 2 * place : 2 * place + 96])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return folder


def test_flow_is_kept_when_rows_are_computed_and_changes_none(videos: Path, tmp_path: Path) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept"
    go(videos, out, keep_flow=str(kept))
    found = rows(out, "flow")
    assert found["row"] == list(range(len(found["row"]))) and len(set(found["scene"])) == 2
    folder = folder_name(videos / "a.mp4")
    assert sorted(str(path.relative_to(kept)) for path in kept.rglob("*.jpg")) == [
        f"{folder}/flow_{axis}_{i:05d}.jpg" for axis in "xy" for i in found["row"]
    ]

    shutil.rmtree(kept)
    go(videos, out, keep_flow=str(kept))
    assert not kept.exists(), "all rows were stored: nothing was computed"

    go(videos, tmp_path / "without")
    for table in ("flow", "i3d_flow"):
        np.testing.assert_equal(rows(tmp_path / "without", table), rows(out, table))

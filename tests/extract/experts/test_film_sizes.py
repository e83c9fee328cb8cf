"""The same film in another size: values that are counted in pixels stay what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import extract

FRAMES = 7  # as many as a motion content needs
LARGE, SMALL = 720, (360, 180, 64)  # short sides
ASPECTS = {"landscape": (16, 9), "portrait": (9, 16), "square": (1, 1)}


def master(width: int, height: int) -> list[NDArray[np.uint8]]:
    """A texture that pans by 1 % of the short side a frame, and a disc that moves against it."""
    rng, unit = np.random.default_rng(3), min(width, height)
    coarse = rng.normal(size=(9 * height // unit, 9 * width // unit)).astype(np.float32)
    canvas = cv2.resize(coarse, (width + unit // 5, height), interpolation=cv2.INTER_CUBIC)
    frames = []
    for i in range(FRAMES):
        left = round(0.01 * unit * i)
        picture = (128 + 40 * canvas[:, left : left + width]).clip(0, 255).astype(np.uint8)
        middle = width // 2 - unit // 10 + round(0.015 * unit * i), height // 2
        cv2.circle(picture, middle, unit // 6, 230, -1, cv2.LINE_AA)
        cv2.circle(picture, middle, unit // 12, 60, -1, cv2.LINE_AA)
        frames.append(picture)
    return frames


def values(path: Path, frames: list[NDArray[np.uint8]], size: tuple[int, int]) -> dict[str, Any]:
    """What the experts say of these pictures, reduced to (width, height) and stored without loss."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
        for picture in frames:
            small = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(small.astype(np.uint8), format="rgb24")))
        out.mux(stream.encode())
    options = {"scenes": {"detector": "ffmpeg", "threshold": 1.0}}
    tables = extract.video(path, experts=["flow", "lowlevel"], options=options, device="cpu")
    flow = tables["flow"]
    assert flow.num_rows == FRAMES - 1
    return {
        "magnitude": np.mean(flow["magnitude"].to_pylist()),
        "flow_content": np.mean(flow["motion_content"].to_pylist()),
        "histogram": np.mean(flow["embedding"].to_pylist(), axis=0),
        "slice_content": tables["lowlevel"]["motion_content"][0].as_py(),
    }


@pytest.mark.parametrize("aspect", ASPECTS)
def test_motion_is_the_same_in_every_size(aspect: str, tmp_path: Path) -> None:
    across, down = ASPECTS[aspect]

    def size(short: int) -> tuple[int, int]:
        return round(short * across / min(across, down)), round(short * down / min(across, down))

    film = master(*size(LARGE))
    large = values(tmp_path / "large.mkv", film, size(LARGE))
    assert 2 < large["magnitude"] < 4 and 0.02 < large["flow_content"] < 0.5
    for short in SMALL if aspect == "landscape" else (180,):
        small = values(tmp_path / f"{short}.mkv", film, size(short))
        assert small["magnitude"] == pytest.approx(large["magnitude"], rel=0.05), short
        assert small["flow_content"] == pytest.approx(large["flow_content"], abs=0.03), short
        assert np.abs(small["histogram"] - large["histogram"]).max() < 0.06, short
        assert small["slice_content"] == pytest.approx(large["slice_content"], abs=0.05), short

"""Levels of flow pictures as denseflow has them, what other tools read from the files, and names."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from extract.ops.motion.flow_images import folder_name, quantise, write_flow


def denseflow_level(value: float, low: float, high: float) -> int:
    """``convertFlowToImage`` of denseflow; OpenCV's ``cvRound`` and ``round`` both take a half to even."""
    return 255 if value > high else 0 if value < low else round(255 * (value - low) / (high - low))


def test_levels_at_the_edges() -> None:
    pixels = np.array([-1e9, -20, -10, -0.1, 0.1, 10, 19.99, 20, 1e9], np.float32)
    assert quantise(torch.from_numpy(pixels)).tolist() == [0, 0, 64, 127, 128, 191, 255, 255, 255]


def test_levels_are_denseflows() -> None:
    halves = (np.arange(255) + 0.5) * 40 / 255 - 20  # where rounding turns
    random = np.random.default_rng(3).normal(scale=12, size=4000)
    pixels = np.concatenate([halves, random, [0.0]]).astype(np.float32)
    assert quantise(torch.from_numpy(pixels)).tolist() == [
        denseflow_level(value, -20.0, 20.0) for value in pixels.tolist()
    ]
    assert np.abs(pixels).max() > 20


def test_files_are_read_back_by_another_decoder(tmp_path: Path) -> None:
    """OpenCV's, as two-stream networks read them: grey, 8 bits, x to the right, y down, near the levels."""
    rows, columns = np.mgrid[0:48, 0:64].astype(np.float32)
    flow = np.stack([columns / 2 - 16, 5 - rows])  # 5 to -42: beyond the bound at the bottom
    write_flow(tmp_path / "film", 7, flow)
    assert sorted(p.name for p in (tmp_path / "film").iterdir()) == ["flow_x_00007.jpg", "flow_y_00007.jpg"]
    for axis, component in zip("xy", flow, strict=True):
        read = cv2.imread(str(tmp_path / "film" / f"flow_{axis}_00007.jpg"), cv2.IMREAD_UNCHANGED)
        assert read is not None and read.dtype == np.uint8 and read.shape == (48, 64)
        wanted = [[denseflow_level(v, -20.0, 20.0) for v in row] for row in component.tolist()]
        # JPEG loses some; 3 levels are half a pixel of flow
        assert np.abs(read.astype(int) - wanted).max() <= 3
        pixels = read.astype(np.float64) / 255 * 40 - 20
        assert np.abs(pixels - np.clip(component, -20, 20)).max() == pytest.approx(0, abs=0.55)


def test_videos_of_one_name_have_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = folder_name("one/film.mp4"), folder_name("two/film.mp4")
    assert a != b and a.startswith("film-") and folder_name("one/film.mp4") == a
    absolute = Path("one/film.mp4").absolute()
    monkeypatch.chdir(tmp_path)
    assert folder_name(absolute) == a != folder_name("one/film.mp4")


@pytest.mark.parametrize("name", [b"\xe9t\xe9.mp4", b"\xe6\x98\xa0" * 83 + b".mp4", b"-x\n.mp4"])
def test_any_name_that_a_video_may_have_makes_a_folder(name: bytes, tmp_path: Path) -> None:
    folder = tmp_path / folder_name(os.fsdecode(b"clips/" + name))
    write_flow(folder, 0, np.zeros((2, 16, 16), np.float32))
    folder.name.encode()  # text, whatever the video's name is
    assert len(list(folder.iterdir())) == 2


def test_no_picture_is_written_through_a_link(tmp_path: Path) -> None:
    flow = np.zeros((2, 8, 8), np.float32)
    letter = tmp_path / "letter"
    letter.write_text("precious")
    folder = tmp_path / "film"
    folder.mkdir()
    (folder / "flow_x_00000.jpg").symlink_to(letter)
    os.link(letter, folder / "flow_y_00000.jpg")
    write_flow(folder, 0, flow)
    assert letter.read_text() == "precious"
    assert sorted(path.name for path in folder.iterdir()) == ["flow_x_00000.jpg", "flow_y_00000.jpg"]
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(OSError, match="is a link"):
        write_flow(tmp_path / "link", 1, flow)

"""The flow expert: pairs inside shots, known motion, rows whatever the batch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from extract.expert import Resources
from extract.experts.flow import Flow, FlowOptions
from extract.types import Frame, Item, MediaInfo, Scene

MEDIA = MediaInfo("films/film.mp4", 1, "mp4", 1.0, True, False)
SECOND_SHOT = 6
FRAMES = 10


def frame(index: int) -> NDArray[np.uint8]:
    """A shot that pans by 2 pixels a frame to the left, then one that stands still."""
    noise = np.random.default_rng(index >= SECOND_SHOT).normal(size=(64, 160)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    picture = (128 + 40 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)
    start = 2 * index if index < SECOND_SHOT else 0
    return np.ascontiguousarray(picture[:, start : start + 96])


def scene(number: int, start: int, end: int) -> Scene:
    return Scene(number, start, end, start / 25, end / 25, start, 0, start / 25, (start + 1) / 25)


def items_of(expert: Flow) -> list[Item]:
    tap = expert.tap(MEDIA)
    found: list[Item] = []
    for i in range(FRAMES):
        found += tap.frame(Frame(frame(i), i, i / 25, (i + 1) / 25))
        found += tap.settled(0.0 if i < 8 else SECOND_SHOT / 25, max(0, i - 3) / 25 if i < 8 else i / 25)
        if i == 7:
            found += tap.scene(scene(0, 0, SECOND_SHOT), None)
    found += tap.scene(scene(1, SECOND_SHOT, FRAMES), None)
    return found + list(tap.close())


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return items_of(Flow())


@pytest.fixture(scope="module")
def rows(items: list[Item]) -> list[dict[str, Any]]:
    return [row for (row,) in Flow().load(Resources())(items)]


def test_no_pair_crosses_a_cut_and_none_is_lost(items: list[Item]) -> None:
    expected = [i for i in range(FRAMES - 1) if i != SECOND_SHOT - 1]
    assert [round(item.start_seconds * 25) for item in items] == expected
    assert [item.columns["scene"] for item in items] == [int(i >= SECOND_SHOT) for i in expected]
    for i, item in zip(expected, items, strict=True):
        assert np.array_equal(item.arrays["grey"], [frame(i), frame(i + 1)])
        assert item.end_seconds - item.start_seconds == pytest.approx(1 / 25)


def test_a_pan_and_a_still_shot(rows: list[dict[str, Any]]) -> None:
    for row in rows[: SECOND_SHOT - 1]:
        assert row["magnitude"] == pytest.approx(2.0, abs=0.2)
        assert row["embedding"].argmax() == 5, "to the left"
        assert row["motion_content"] < 0.1
    for row in rows[SECOND_SHOT - 1 :]:
        assert row["magnitude"] == 0 and row["embedding"][0] == 1 and row["motion_content"] == 0


def test_rows_have_the_tables_columns(rows: list[dict[str, Any]]) -> None:
    (spec,) = Flow().tables().values()
    assert spec.embedding is not None
    named = {"start_seconds", "end_seconds", "embedding", *(column.name for column in spec.columns)}
    for row in rows:
        assert row.keys() == named
        assert row["embedding"].shape == spec.embedding.shape and row["embedding"].dtype == np.float32


def test_rows_do_not_depend_on_the_batch(items: list[Item], rows: list[dict[str, Any]]) -> None:
    small = Item(0.0, 0.04, {"grey": items[0].arrays["grey"][:, :40, :50].copy()}, {"scene": 0})
    model = Flow().load(Resources())
    assert model([]) == []
    order = [3, 0, 7]
    mixed = [row for (row,) in model([items[3], small, items[0], items[7]])]
    for row, i in zip([mixed[0], *mixed[2:]], order, strict=True):
        assert row["magnitude"] == rows[i]["magnitude"]
        assert row["motion_content"] == rows[i]["motion_content"]
        assert np.array_equal(row["embedding"], rows[i]["embedding"])


def test_a_shot_of_one_frame_has_no_row() -> None:
    tap = Flow().tap(MEDIA)
    assert list(tap.frame(Frame(frame(0), 0, 0.0, 0.04))) == []
    assert list(tap.scene(scene(0, 0, 1), None)) == []


def test_the_fast_variant_has_its_own_fingerprint_and_other_values(items: list[Item]) -> None:
    fast = Flow(FlowOptions(flow="fast"))
    assert fast.settings() != Flow().settings()
    ((row,),) = fast.load(Resources())(items[:1])
    assert row["magnitude"] == pytest.approx(2.0, abs=0.2)


def test_the_flow_is_kept_as_denseflow_writes_it(tmp_path: Path) -> None:
    expert = Flow(FlowOptions(keep_flow=str(tmp_path / "kept")))
    assert expert.settings() == Flow().settings(), "rows are the same"
    found = items_of(expert)
    rows = expert.load(Resources())(found)
    assert [row["magnitude"] for (row,) in rows[-2:]] == [0, 0]
    (folder,) = (tmp_path / "kept").iterdir()
    assert re.fullmatch(r"film-[0-9a-f]{8}", folder.name)
    assert sorted(p.name for p in folder.iterdir()) == [
        f"flow_{axis}_{i:05d}.jpg" for axis in "xy" for i in range(FRAMES - 2)
    ]
    shown = {path.name: np.asarray(Image.open(path)) for path in folder.iterdir()}
    assert shown["flow_x_00000.jpg"].shape == (64, 96)
    assert np.median(shown["flow_x_00000.jpg"]) == round((20 - 2) * 255 / 40)
    for name in ("flow_y_00000.jpg", "flow_x_00007.jpg"):
        assert np.median(shown[name]) in (127, 128)


def test_other_options_are_refused() -> None:
    with pytest.raises(ValueError, match="flow is 'raft'"):
        FlowOptions(flow="raft")  # type: ignore[arg-type]

"""``extract.video``: wrong arguments are one line, before the file is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import extract
from extract.errors import MarqueeError, MediaError
from tests.fixtures.clips import write_clip

WRONG: dict[str, tuple[Any, ...]] = {
    "path": (None, 3, "", ["a.mp4"]),
    "experts": ("clip", [], [3], None, 3, ["nope"]),
    "options": (3, {"spectrogram": 3}, {"nope": {}}, {"spectrogram": {"nope": 1}}),
    "weights": ("nope", 3, ""),
    "device": ("gpu", "cuda:x", None, 0),
    "precision": ("half", "", 16),
    "random_seed": (-1, 2**63, 1.5, "1", True),
    "expert": (["scenes"],),
    "video_id": (3, b"a"),
}


def test_ids_are_those_of_a_store_of_the_folder(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.b.mkv", audio_seconds=2.0)
    fine: dict[str, Any] = {"experts": ["spectrogram"], "device": "cpu"}
    named: tuple[dict[str, Any], ...] = ({}, {"video_id": "x/a"})
    found = [extract.video(tmp_path / "a.b.mkv", **fine, **more) for more in named]
    assert [set(tables["spectrogram"]["video_id"].to_pylist()) for tables in found] == [{"a.b"}, {"x/a"}]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_what_is_wrong_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    fine: dict[str, Any] = {"path": tmp_path / "a.mp4", "experts": ["spectrogram"], "device": "cpu"}
    with pytest.raises(MarqueeError) as caught:
        extract.video(**(fine | {name: value}))
    assert "\n" not in str(caught.value) and not isinstance(caught.value, MediaError)

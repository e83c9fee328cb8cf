"""Tiny clips made on the spot, so that the media tests need no files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.clips import turn, write_clip

MakeClip = Callable[..., Path]


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """``make_clip("name.mp4", **write_clip's arguments) -> Path``."""

    def make(name: str, **arguments: Any) -> Path:
        return write_clip(tmp_path / name, **arguments)

    return make


@pytest.fixture
def turn_clip() -> Callable[[Path, Sequence[int]], Path]:
    return turn


@pytest.fixture
def clip(make_clip: MakeClip) -> Path:
    """Two seconds of H.264 with a tone."""
    return make_clip("clip.mp4", audio_seconds=2.0)

"""Drawn videos on object storage are fetched, and what is not the same any more is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.recompute.sources import SourceVideo, SourceVideos
from pipeline.storage.content import content_digest
from pipeline.store.videos import Video

VIDEOS = [Video(f"film {i}", f"film {i}.mp4".encode(), 4) for i in range(12)]  # more than copies at a time


def given(root: Any, digests: dict[str, str]) -> dict[str, tuple[bytes | None, str]]:
    """By video its content or its problem; each is released before the next is asked for."""
    found: dict[str, tuple[bytes | None, str]] = {}
    with SourceVideos(root, VIDEOS, digests) as sources:
        for source in sources:
            if source is None:
                continue
            assert isinstance(source, SourceVideo)
            found[source.video_id] = None, source.problem
            if source.path is not None:
                found[source.video_id] = Path(source.path.decode()).read_bytes(), ""
                sources.release(source.video_id)
    return found


@pytest.mark.parametrize("remote", [False, True])
def test_every_video_comes_once(remote: bool, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue("bucket") if remote else tmp_path
    for video in VIDEOS[1:]:
        (root / video.path).write_bytes(b"film")
    (root / VIDEOS[2].path).write_bytes(b"longer")
    (root / VIDEOS[3].path).write_bytes(b"mlif")
    digest = str(content_digest(root / VIDEOS[4].path, 4))
    found = given(root, {"film 3": digest, "film 4": digest})
    assert found.keys() == {video.video_id for video in VIDEOS}
    assert "was deleted" in found["film 0"][1] or found["film 0"][1] == "the file is gone"
    assert "changed" in found["film 2"][1] and "4 bytes" in found["film 2"][1]
    assert found["film 3"] == (None, "the file has changed since: same size, different contents")
    assert {found[video.video_id] for video in VIDEOS[4:]} == {(b"film", "")}

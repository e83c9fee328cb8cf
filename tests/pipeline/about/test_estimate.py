"""A few videos stand for a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from extract.errors import UsageError
from pipeline.about.estimate import estimate, evenly_by_size
from pipeline.cli.estimate_display import duration
from pipeline.storage.location import Location
from pipeline.storage.scan import Input
from pipeline.work.config import RunConfig
from tests.fixtures.clips import write_clip


def test_the_sample_is_spread_over_the_sizes() -> None:
    inputs = [Input(str(size).encode(), size) for size in (80, 10, 20, 70, 40, 30, 60, 50)]
    assert [entry.size_bytes for entry in evenly_by_size(inputs)] == [20, 40, 60, 80]
    assert [entry.size_bytes for entry in evenly_by_size(inputs[:3])] == [10, 20, 80]


def test_a_folder_is_estimated_from_four_of_its_videos_and_left_alone(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(8):
        write_clip(videos / f"{number}.wav", codec=None, audio_seconds=3.0)
    before = sorted(tmp_path.rglob("*"))
    config = RunConfig(videos=videos, out=tmp_path / "out", experts=("spectrogram",), device="cpu")
    found = estimate(config)
    assert (found.videos, found.sample, found.failed) == (8, 4, 0)
    assert 0 < found.seconds[0] <= found.seconds[1] and found.seconds_of_workers > 0
    assert found.memory_bytes > 50e6 and found.bound_by in found.busy
    one = 130 * 513 * 2  # bytes of a row; each film has one, and tones compress
    assert 0 < found.store_bytes < 8 * one
    assert sorted(tmp_path.rglob("*")) == before


def test_what_cannot_be_estimated_is_said() -> None:
    class Remote:
        def __str__(self) -> str:
            return "s3://bucket/films"

    place: Location = Remote()  # type: ignore[assignment]
    config = RunConfig(videos=Path("."), out=Path("out"), experts=("spectrogram",))
    object.__setattr__(config, "videos", place)
    with pytest.raises(UsageError, match="s3://bucket/films: copy a few"):
        estimate(config)


@pytest.mark.parametrize(
    ("seconds", "said"), [(40, "40 s"), (600, "10 min"), (12_600, "3.5 h"), (864_000, "10.0 days")]
)
def test_times_are_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert duration(seconds) == said

"""The rendered trailers are what their truth says, frame by frame: other tests lean on that."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from bench.demo_report import cuts_found, titles
from bench.demo_trailers import DEMO, SAMPLE_RATE, Shot, Trailer, pictures, render_trailer, soundtrack, truth

SMALL = Trailer(
    "small",
    (Shot(1.5, "clouds"), Shot(1.5, "black", ("TWO", "LINES")), Shot(1.5, "bricks", begins="fade")),
    fps=10,
)


def test_truth_counts_frames() -> None:
    known = truth(SMALL)
    assert known["frames"] == 45
    assert known["cuts"] == [{"frame": 15, "seconds": 1.5}]
    assert known["gradual"] == [{"kind": "fade", "start_seconds": 3.0, "end_seconds": 3.8}]
    assert known["titles"] == [{"lines": ["TWO", "LINES"], "start_seconds": 1.5, "end_seconds": 3.0}]


def test_file_holds_the_rendered_pictures_and_sound(tmp_path: Path) -> None:
    path = tmp_path / "small.mp4"
    known = render_trailer(path, SMALL)
    with av.open(str(path)) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        assert container.streams.video[0].average_rate == 10
    assert len(decoded) == known["frames"]
    for shown, made in zip(decoded, pictures(SMALL), strict=True):
        assert np.abs(shown.astype(int) - made).mean() < 6  # what x264 loses at crf 20
    assert abs(samples - len(soundtrack(SMALL))) <= 2048  # AAC works in frames of 1024
    assert len(soundtrack(SMALL)) == 4.5 * SAMPLE_RATE


def test_rendering_is_deterministic(tmp_path: Path) -> None:
    render_trailer(tmp_path / "a.mp4", SMALL)
    render_trailer(tmp_path / "b.mp4", SMALL)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("trailer", DEMO, ids=lambda trailer: trailer.name)
def test_pictures_jump_at_hard_cuts_only(trailer: Trailer) -> None:
    small = np.stack([picture[::8, ::8].astype(int) for picture in pictures(trailer)])
    change = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2, 3))  # change[i] lies between i and i + 1
    cuts = [cut["frame"] for cut in truth(trailer)["cuts"]]
    assert min(change[cut - 1] for cut in cuts) > 2 * max(np.delete(change, [cut - 1 for cut in cuts]))


def test_impossible_trailers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        Shot(0.5, "waves")
    with pytest.raises(ValueError, match="begins with a cut"):
        Trailer("x", (Shot(2.0, "waves", begins="fade"),))


def test_report_counts_cuts_within_a_frame_and_joins_lines() -> None:
    known = {"cuts": [{"frame": 10}, {"frame": 20}, {"frame": 30}]}
    assert cuts_found([{"start_frame": f} for f in (0, 11, 22, 30)], known) == 2
    lines = [{"start_seconds": 2.0, "text": "B"}, {"start_seconds": 1.0, "text": "A"}]
    assert titles([*lines, {"start_seconds": 2.0, "text": "C"}]) == [(1.0, "A"), (2.0, "B / C")]

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from extract.errors import MediaError
from extract.media.picture import Picture
from extract.media.probe import probe
from extract.media.seek import fetch
from extract.media.stream import DecodeCounts, read

MakeClip = Callable[..., Path]

# closed and open GOPs, B-frame pyramids, intra refresh, hidden frames, each in a container that seeks
ENCODINGS = [
    ("h264.mp4", "libx264", {}),
    (
        "h264_open.mkv",
        "libx264",
        {"x264-params": "open-gop=1:bframes=3:b-adapt=0:b-pyramid=normal:scenecut=0"},
    ),
    ("h264_open.mp4", "libx264", {"x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0"}),
    ("h264_refresh.mkv", "libx264", {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}),
    ("hevc_closed.mp4", "libx265", {"x265-params": "open-gop=0:bframes=3:log-level=none"}),
    ("hevc_open.mkv", "libx265", {"x265-params": "open-gop=1:bframes=4:b-adapt=0:scenecut=0:log-level=none"}),
    ("hevc_open.mp4", "libx265", {"x265-params": "open-gop=1:bframes=4:b-adapt=0:scenecut=0:log-level=none"}),
    ("mpeg2_open.mkv", "mpeg2video", {"bf": "2"}),
    ("mpeg4.mp4", "mpeg4", {"bf": "2"}),
    ("vp9.webm", "libvpx-vp9", {"cpu-used": "8", "lag-in-frames": "16", "auto-alt-ref": "1"}),
    ("av1.mkv", "libsvtav1", {"preset": "12", "svtav1-params": "irefresh-type=1"}),
    ("h264.ts", "libx264", {"x264-params": "open-gop=1:bframes=3"}),
    ("mpeg2.mpg", "mpeg2video", {"bf": "2"}),
]


def sequential(path: Path) -> tuple[list[tuple[int, int]], list[np.ndarray], list[tuple[float, float]]]:
    """The whole file once: (index, pts), planes, seconds of every picture."""
    parts = read(path, media=probe(path), video=True, sounds=(), counts=DecodeCounts())
    pictures = [part for part in parts if isinstance(part, Picture)]
    planes = [picture.raw.to_ndarray() for picture in pictures]
    spans = [(picture.start_seconds, picture.end_seconds) for picture in pictures]
    return [(picture.index, picture.pts) for picture in pictures], planes, spans


def leading_packets(path: Path) -> int:
    """Packets that follow a keyframe in the file and precede it in time: open GOPs have them."""
    leading, keyframe = 0, None
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.is_keyframe and packet.pts is not None:
                keyframe = packet.pts
            elif packet.pts is not None and keyframe is not None:
                leading += packet.pts < keyframe
    return leading


def check(path: Path, *, choose: Callable[[int], Sequence[int]]) -> DecodeCounts:
    """Fetch the chosen pictures and compare each with the sequential decode, bit for bit."""
    names, planes, spans = sequential(path)
    wanted = list(choose(len(names)))
    counts = DecodeCounts()
    found = fetch(
        path, media=probe(path), keyframe_targets=[names[i] for i in reversed(wanted)], counts=counts
    )
    order = []
    for picture in found:
        order.append(picture.index)
        assert (picture.index, picture.pts) == names[picture.index]
        assert np.array_equal(picture.raw.to_ndarray(), planes[picture.index]), (path.name, picture.index)
        assert (picture.start_seconds, picture.end_seconds) == spans[picture.index]
    assert order == wanted
    return counts


@pytest.mark.parametrize(("name", "codec", "options"), ENCODINGS, ids=[row[0] for row in ENCODINGS])
def test_every_picture_is_found_bit_for_bit(
    make_clip: MakeClip, name: str, codec: str, options: dict[str, str]
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no encoder {codec}")
    path = make_clip(name, codec=codec, options=options, pts=range(60), size=(96, 64))
    assert leading_packets(path) > 0 or "open" not in name
    counts = check(path, choose=range)  # all at once
    assert (counts.seeks > 0) == (path.suffix not in (".ts", ".mpg"))
    for only in (0, 11, 12, 13, 23, 25, 37, 59):  # each on its own, around keyframes
        check(path, choose=partial(lambda only, _: [only], only))


def test_only_the_stretches_that_hold_targets_are_decoded(make_clip: MakeClip) -> None:
    path = make_clip(
        "long.mp4", pts=range(240), options={"x264-params": "scenecut=0:keyint=12:min-keyint=12"}
    )
    counts = check(path, choose=lambda _: [30, 32, 200])
    assert counts.seeks == 2  # 30 and 32 follow the same keyframe
    assert counts.pictures_decoded < 30


def test_variable_frame_rate(make_clip: MakeClip) -> None:
    check(make_clip("vfr.mkv", pts=[0, 1, 5, 6, 20, 21, 22, 40, 41, 60, 61, 62, 63, 64, 65]), choose=range)


def test_damage_falls_back_to_the_start(make_clip: MakeClip) -> None:
    path = make_clip("hurt.mp4", size=(320, 240), pts=range(60))
    with av.open(str(path)) as container:
        at = [packet.pos or 0 for packet in container.demux(video=0) if packet.size][30]
    data = bytearray(path.read_bytes())
    data[at : at + 300] = bytes(np.random.default_rng(1).integers(0, 256, 300, dtype=np.uint8))
    path.write_bytes(data)
    counts = check(path, choose=range)
    assert counts.seeks > 0


def test_nothing_wanted_opens_nothing(tmp_path: Path, clip: Path) -> None:
    missing = tmp_path / "gone.mp4"
    assert list(fetch(missing, media=probe(clip), keyframe_targets=[], counts=DecodeCounts())) == []


def test_a_target_that_is_not_there_is_an_error(clip: Path) -> None:
    with pytest.raises(MediaError, match="did the file change"):
        list(fetch(clip, media=probe(clip), keyframe_targets=[(3, 1)], counts=DecodeCounts()))
    with pytest.raises(MediaError, match="did the file change"):
        list(fetch(clip, media=probe(clip), keyframe_targets=[(999, 10**9)], counts=DecodeCounts()))


@pytest.mark.parametrize(
    "name",
    [
        "trailers/dev/the_last_orchard.mp4",
        "nasty/dev/hevc_10bit.mp4",
        "nasty/dev/vp9_opus.webm",
        "nasty/dev/corrupt_middle.mp4",
        "nasty/dev/truncated_faststart.mp4",
        "nasty/dev/starts_at_100s.ts",
        "nasty/dev/vfr_dropped_frames.mp4",
        "torchcodec/av1_video.mkv",
        "torchcodec/nasa_13013.mp4",
        "mmaction2/demo.mp4",
        "popcorn/trailer.ogv",
    ],
)
def test_real_clips(media: Path, name: str) -> None:
    check(media / name, choose=lambda count: sorted({0, count // 3, count // 2, count - 2, count - 1}))

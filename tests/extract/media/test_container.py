from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from extract.errors import MediaError
from extract.media import container as container_module
from extract.media.container import choose_audio, choose_video, open_container
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read
from tests.fixtures.hostile import CANARY, Server, avi_with_subtitle, playlist, url

MakeClip = Callable[..., Path]


def opens(path: Path) -> bool:
    try:
        with open_container(path) as container:
            return choose_video(container) is not None
    except MediaError as error:
        assert "\n" not in str(error)
        return False


@pytest.mark.parametrize("kind", ["hls", "concat", "sdp", "dash"])
@pytest.mark.parametrize("name", ["movie.mp4", "movie.avi", "movie.m3u8", "movie.ts"])
def test_playlists_open_nothing(tmp_path: Path, clip: Path, server: Server, kind: str, name: str) -> None:
    for target in (clip.name, str(clip), url(server)):
        (tmp_path / name).write_bytes(playlist(kind, target))
        assert not opens(tmp_path / name)
    assert server.asked == []


def test_the_danger_is_real(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "movie.mp4").write_bytes(playlist("concat", clip.name))
    with av.open(str(tmp_path / "movie.mp4")) as unguarded:
        assert unguarded.format.name == "concat"
        assert sum(1 for _ in unguarded.decode(video=0)) == 48  # of another file


def test_an_allowed_demuxer_could_still_open_nothing_beside(
    tmp_path: Path, clip: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_module, "DEMUXERS", (*container_module.DEMUXERS, "concat", "hls"))
    for kind, target in (("concat", clip.name), ("concat", url(server)), ("hls", url(server))):
        (tmp_path / "movie.mp4").write_bytes(playlist(kind, target))
        assert not opens(tmp_path / "movie.mp4")
    assert server.asked == []


def test_an_avi_that_wraps_a_playlist_shows_its_own_pictures_only(tmp_path: Path, server: Server) -> None:
    for kind in ("hls", "concat"):
        path = avi_with_subtitle(tmp_path / "movie.avi", playlist(kind, url(server)))
        parts = list(read(path, media=probe(path), video=True, sounds=(), counts=DecodeCounts()))
        assert len(parts) == 3
        with open_container(path) as container:  # all streams, the text too
            assert [stream.type for stream in container.streams] == ["video", "subtitle"]
            data = b"".join(bytes(packet) for packet in container.demux() if packet.size)
        assert CANARY.encode() not in data
    assert server.asked == []


@pytest.mark.parametrize(
    "name",
    ["-dash.mp4", "a b.mp4", "concat:x|y.mp4", "http:x.mp4", "%03d.mp4", "new\nline.mp4", "q'\"`$(x).mp4"],
)
def test_names_are_only_names(tmp_path: Path, clip: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clip.rename(tmp_path / name)
    assert opens(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert opens(Path(name))


def test_names_need_not_be_utf8(tmp_path: Path, clip: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.mp4"
    try:
        os.rename(clip, path)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    for form in (path, os.fsdecode(path)):
        with open_container(form) as container:
            assert choose_audio(container) is not None
    assert os.fsencode(probe(path).path) == path


def test_what_is_no_media_file_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a film\n")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")  # nobody writes to it: a plain open() would wait for ever
    expected = {
        "empty.mp4": "0 bytes",
        "text.mp4": "cannot be read as media",
        "noise.mp4": "cannot be read as media",
        "folder.mp4": "is a directory",
        "loop.mp4": "cannot be opened",
        "pipe.mp4": "a regular file is needed",
        "gone.mp4": "No such file",
        "nul\0.mp4": "cannot be opened",
    }
    for name, words in expected.items():
        with pytest.raises(MediaError, match=words) as caught, open_container(tmp_path / name):
            pass
        assert "\n" not in str(caught.value) and repr(str(tmp_path / name)) in str(caught.value)


def test_unreadable(clip: Path) -> None:
    clip.chmod(0)
    if os.access(clip, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(MediaError, match="Permission denied"), open_container(clip):
        pass


def test_the_file_is_closed_afterwards(clip: Path) -> None:
    before = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else None
    if before is None:
        pytest.skip("no /proc here to count open files")
    probe(clip)
    parts = read(clip, media=probe(clip), video=True, sounds=(), counts=DecodeCounts())
    next(parts)
    parts.close()
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("size", [2**59, 2**63 - 100])
def test_a_place_that_no_file_can_have_is_ffmpegs_to_pass_over(make_clip: MakeClip, size: int) -> None:
    """A header's object that claims to be so long is skipped by a seek there, which the system refuses."""
    path = make_clip("movie.wmv", codec="wmv2")
    data = bytearray(path.read_bytes())
    data[46:54] = size.to_bytes(8, "little")  # of the first object: after the header's 30 bytes, an id of 16
    path.write_bytes(data)
    with av.open(str(path)) as as_ffmpeg_opens_it, open_container(path) as container:
        expected = [bytes(packet) for packet in as_ffmpeg_opens_it.demux()]
        assert [bytes(packet) for packet in container.demux()] == expected
    assert len(expected) > 40


def checksum(section: bytes) -> bytes:
    """CRC-32 of MPEG-2 (ISO 13818-1, annex A): 0x04C11DB7, from all ones, not reflected."""
    value = 0xFFFFFFFF
    for byte in section:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


def two_programs(path: Path, first: Path, second: Path) -> Path:
    """Two transport streams of one program each as one of two, the second's PIDs starting at 0x200."""
    section = bytes.fromhex("00b0110001c100000001f0000002f100")
    table = b"\x47\x40\x00\x10\x00" + section + checksum(section)

    def packets(source: Path) -> list[bytes]:
        data = source.read_bytes()
        parts = [data[at : at + 188] for at in range(0, len(data), 188)]
        return [part for part in parts if (part[1] & 0x1F) << 8 | part[2] not in (0x00, 0x11)]

    mine, other = packets(first), packets(second)
    both = sorted(
        [(n / len(mine), p) for n, p in enumerate(mine)] + [(n / len(other), p) for n, p in enumerate(other)]
    )
    path.write_bytes(table.ljust(188, b"\xff") + b"".join(packet for _, packet in both))
    return path


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_sound_is_that_of_the_pictures_program(
    tmp_path: Path, make_clip: Callable[..., Path], order: tuple[int, int]
) -> None:
    """FFmpeg chooses one picture of the two, whichever comes first; its sound is told by its rate."""
    large = {"size": (128, 96), "rate": 32_000}
    small = {"size": (64, 48), "rate": 44_100}
    chosen = [(large, small), (small, large)][order[0]]
    parts = [
        make_clip(
            f"{n}.ts",
            codec="mpeg2video",
            audio_seconds=2.0,
            container_options={
                "mpegts_start_pid": str(0x100 * (n + 1)),
                "mpegts_pmt_start_pid": str(0x1000 + 0x100 * n),
                "mpegts_service_id": str(n + 1),
            },
            **each,
        )
        for n, each in enumerate(chosen)
    ]
    media = probe(two_programs(tmp_path / "both.ts", *parts))
    assert (media.width, media.sample_rate, media.audio_tracks) in [(128, 32_000, 2), (64, 44_100, 2)]

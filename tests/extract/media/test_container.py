from __future__ import annotations

import io
import os
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from extract.errors import MediaError
from extract.media import container as container_module
from extract.media.container import choose_audio, choose_video, open_container
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read

MakeClip = Callable[..., Path]
CANARY = "CANARY-7f3a"


class Server(ThreadingHTTPServer):
    """Answers everything with the canary and remembers what was asked for."""

    asked: list[str]


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CANARY.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    made = Server(("127.0.0.1", 0), Handler)
    made.asked = []
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/secret.ts"


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def avi_with_subtitle(path: Path, subtitle: bytes) -> Path:
    """An AVI of three MJPEG pictures and a text stream whose packet is a GAB2 file, as VirtualDub writes."""
    picture = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 90, np.uint8), "rgb24")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mjpeg") as out:
        stream = out.add_stream("mjpeg", rate=24, options={"strict": "-2"})
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    jpeg = buffer.getvalue()
    main = struct.pack("<14I", 41667, 0, 0, 0x10, 3, 0, 2, 0, 16, 16, 0, 0, 0, 0)
    video = b"vidsMJPG" + struct.pack("<IHHIIIIIIII4H", 0, 0, 0, 0, 1, 24, 0, 3, 0, 0, 0, 0, 0, 16, 16)
    bitmap = struct.pack("<IiiHH4sIiiII", 40, 16, 16, 1, 24, b"MJPG", 768, 0, 0, 0, 0)
    text = b"txts\0\0\0\0" + struct.pack("<IHHIIIIIIII4H", 0, 0, 0, 0, 1, 24, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    gab2 = b"GAB2\0" + struct.pack("<HI", 2, 2) + b"s\0" + struct.pack("<HI", 4, len(subtitle)) + subtitle
    header = chunk(b"LIST", b"hdrl" + chunk(b"avih", main)
                   + chunk(b"LIST", b"strl" + chunk(b"strh", video) + chunk(b"strf", bitmap))
                   + chunk(b"LIST", b"strl" + chunk(b"strh", text) + chunk(b"strf", b"")))  # fmt: skip
    movie = chunk(b"LIST", b"movi" + chunk(b"01tx", gab2) + chunk(b"00dc", jpeg) * 3)
    path.write_bytes(chunk(b"RIFF", b"AVI " + header + movie))
    return path


def playlist(kind: str, target: str) -> bytes:
    return {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10.0,\n{target}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{target}'\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 {target}\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "dash": f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">\n<BaseURL>{target}</BaseURL></MPD>',
    }[kind].encode()


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
        parts = list(read(path, media=probe(path), video=True, audio_rates=(), counts=DecodeCounts()))
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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(clip: Path) -> None:
    clip.chmod(0)
    with pytest.raises(MediaError, match="Permission denied"), open_container(clip):
        pass


def test_the_file_is_closed_afterwards(clip: Path) -> None:
    before = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else None
    if before is None:
        pytest.skip("no /proc here to count open files")
    probe(clip)
    parts = read(clip, media=probe(clip), video=True, audio_rates=(), counts=DecodeCounts())
    next(parts)
    parts.close()
    assert set(os.listdir("/proc/self/fd")) == before

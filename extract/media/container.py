"""Opening a file so that nothing but that file is ever opened, and choosing its streams.

FFmpeg looks at content, not names: a text that is called ``.mp4`` may be a playlist that names
other files or URLs. Three walls stand before that: the file is opened here and handed over as
bytes (so its name is never parsed as a URL or a pattern), only demuxers of plain media are
allowed, and whatever a demuxer wants to open beside is refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import BinaryIO, Literal

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from extract.errors import MediaError

PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]

# Names as in `ffmpeg -demuxers`. Not here on purpose: hls, dash, concat, sdp, rtsp, image2, lavfi
# and every subtitle format (an AVI may wrap one of those as GAB2).
DEMUXERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "ogg", "flv", "asf", "rm", "mxf", "nut"),
    *("dv", "ivf", "gif", "gxf", "wtv", "nsv", "h264", "hevc", "vvc", "m4v", "obu", "av1", "vc1", "mjpeg"),
    *("yuv4mpegpipe", "wav", "w64", "aiff", "caf", "au", "mp3", "flac", "aac", "ac3", "eac3", "dts"),
    *("truehd", "amr", "wv", "ape", "tta"),
)
MAX_PIXELS = 8192 * 8192  # of one stored picture; a header may ask for far more memory than any film


@contextmanager
def open_container(path: PathLike) -> Iterator[InputContainer]:
    """The opened container; the file is closed on leaving.

    Raises:
        MediaError: if the file cannot be read, is not a regular file, is empty, is not in one
            of the containers of :data:`DEMUXERS`, refers to other files, or if FFmpeg gives it
            up inside the ``with`` block. The message is one line.
    """
    shown = repr(os.fsdecode(path))

    def refuse(url: str, flags: int, options: Mapping[str, str]) -> BinaryIO:
        raise MediaError(f"{shown} refers to another file or URL; only self-contained media are read")

    with _open_regular(path, shown) as file:
        try:
            with av.open(
                SimpleNamespace(read=file.read, seek=file.seek, tell=file.tell),
                "r",
                options={"max_pixels": str(MAX_PIXELS)},
                container_options={
                    "format_whitelist": ",".join(DEMUXERS),
                    "protocol_whitelist": "none",
                },
                metadata_errors="replace",
                io_open=refuse,
            ) as container:
                yield container
        except av.FFmpegError as error:
            raise MediaError(
                f"{shown} cannot be read as media (FFmpeg: {error.strerror}); allowed are complete, "
                "self-contained files such as mp4, mov, mkv, webm, avi, ts, mpg, ogg, wav, mp3; "
                "playlists, texts and pictures are not: re-encode or remove it"
            ) from error


def _open_regular(path: PathLike, shown: str) -> BinaryIO:
    """The file, opened without ever waiting for the other end of a pipe."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    try:
        file = open(path, "rb", opener=opener)  # noqa: SIM115 - closed by the caller
    except IsADirectoryError as error:
        raise MediaError(f"{shown} is a directory; a media file is needed") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{shown} cannot be opened ({reason}); it must exist and be readable") from error
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise MediaError(f"{shown} is a pipe, socket or device; a regular file is needed")
    if status.st_size == 0:
        file.close()
        raise MediaError(f"{shown} is empty (0 bytes); copy or download it again")
    return file


def choose_video(container: InputContainer) -> VideoStream | None:
    """The video stream that all of Marquee sees, or None.

    FFmpeg's own choice (``av_find_best_stream``: default disposition first, then the one with
    more pictures and bits); cover art and streams that no decoder knows are passed over.
    """
    usable = [s for s in container.streams.video if s.codec_context is not None and not _is_cover(s)]
    best = container.streams.best("video")
    return next((s for s in usable if s is best), usable[0] if usable else None)


def choose_audio(container: InputContainer) -> AudioStream | None:
    """The first audio track marked as default, else the first one; None if there is none."""
    usable = [s for s in container.streams.audio if s.codec_context is not None]
    return next((s for s in usable if s.disposition & Disposition.default), usable[0] if usable else None)


def open_decoder(stream: VideoStream | AudioStream, *, threads: int = 1, strict: bool = False) -> None:
    """Set the stream's decoder up; one thread unless told otherwise (one process per video).

    With ``strict`` damage is an error instead of being concealed with what was decoded before.
    """
    options = {"max_pixels": str(MAX_PIXELS)}
    if strict:
        options["err_detect"] = "explode"
    stream.codec_context.options = options
    kind: Literal["NONE", "AUTO"] = "NONE" if threads == 1 else "AUTO"
    stream.codec_context.thread_count = threads
    stream.codec_context.thread_type = kind  # takes names too


def discard_others(container: InputContainer, chosen: Sequence[VideoStream | AudioStream]) -> None:
    """Make the demuxer drop the packets of every stream that is not chosen."""
    wanted = {stream.index for stream in chosen}
    for stream in container.streams:
        stream.discard = Discard.default if stream.index in wanted else Discard.all


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))

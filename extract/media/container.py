"""Opening a file so that nothing but that file is ever opened, and choosing its streams.

FFmpeg looks at content, not names: a text that is called ``.mp4`` may be a playlist that names
other files or URLs. Three walls stand before that: the file is opened here and handed over as
bytes (so its name is never parsed as a URL or a pattern), only demuxers of plain media are
allowed, and whatever a demuxer wants to open beside is refused.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Literal, NamedTuple

import av
from av.audio.stream import AudioStream
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from extract.errors import DeviceUnusable, MediaError, command
from extract.media.limits import refuse_pictures, refuse_sound

PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]

# Names as in `ffmpeg -demuxers`. Not here on purpose: hls, dash, concat, sdp, rtsp, image2, lavfi
# and every subtitle format (an AVI may wrap one of those as GAB2).
DEMUXERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "ogg", "flv", "asf", "rm", "mxf", "nut"),
    *("dv", "ivf", "gif", "gxf", "wtv", "nsv", "h264", "hevc", "vvc", "m4v", "obu", "av1", "vc1", "mjpeg"),
    *("yuv4mpegpipe", "wav", "w64", "aiff", "caf", "au", "mp3", "flac", "aac", "ac3", "eac3", "dts"),
    *("truehd", "amr", "wv", "ape", "tta"),
)
# What NVDEC gives, with both chroma values in one plane, and the same with a plane for each.
PLANAR = {
    **{"nv12": "yuv420p", "p010le": "yuv420p10le", "p012le": "yuv420p12le", "p016le": "yuv420p16le"},
    **{"nv16": "yuv422p", "p210le": "yuv422p10le", "p212le": "yuv422p12le", "p216le": "yuv422p16le"},
}
MAX_PIXELS = 8192 * 8192  # of one stored picture; a header may ask for far more memory than any film


class ChosenStreams(NamedTuple):
    """The picture and the sound that all of Marquee reads of a file.

    Each is None if the file has none that can be read; then ``no_video`` and ``no_audio`` say why one that
    it does have cannot, and are None where it has none.
    """

    video: VideoStream | None
    audio: AudioStream | None
    no_video: str | None = None
    no_audio: str | None = None

    @property
    def readable(self) -> list[VideoStream | AudioStream]:
        return [stream for stream in (self.video, self.audio) if stream is not None]


class _Stretch:
    """Some bytes of a file as if they were a file: what FFmpeg reads from."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file, self._start, self._stop = file, start, stop
        file.seek(start)

    def read(self, size: int) -> bytes:
        return self._file.read(max(0, min(size, self._stop - self._file.tell())))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Where it is now; of a place that no file can have a negative error, as FFmpeg's own files say."""
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._stop}[whence]
        try:
            return self._file.seek(max(self._start, base + offset)) - self._start
        except (OSError, OverflowError):  # raised, it would come out of some later call
            return -errno.EINVAL

    def tell(self) -> int:
        return self._file.tell() - self._start


@contextmanager
def open_container(
    path: PathLike, stretch: tuple[int, int] | None = None, *, gpu: int | None = None
) -> Iterator[InputContainer]:
    """The opened container; the file is closed on leaving.

    Args:
        path: of the file.
        stretch: these bytes of the file only.
        gpu: the number of the GPU whose own decoder (NVDEC) is to decode pictures. What it does not take (a
            codec, a chroma format, a size) the CPU decodes.

    Raises:
        DeviceUnusable: the GPU has no decoder that FFmpeg can use.
        MediaError: if the file cannot be read, is not a regular file, is empty, is not in one
            of the containers of :data:`DEMUXERS`, refers to other files, or if FFmpeg gives it
            up inside the ``with`` block. The message is one line.
    """
    shown = repr(os.fsdecode(path))
    hwaccel = None if gpu is None else _gpu_decoder(gpu)

    def refuse(url: str, flags: int, options: Mapping[str, str]) -> BinaryIO:
        raise MediaError(f"{shown} refers to another file or URL; only self-contained media are read")

    with open_regular(path) as file:
        try:
            with av.open(
                _Stretch(file, *(stretch or (0, os.fstat(file.fileno()).st_size))),
                "r",
                options={"max_pixels": str(MAX_PIXELS)},
                container_options={
                    "format_whitelist": ",".join(DEMUXERS),
                    "protocol_whitelist": "none",
                },
                metadata_errors="replace",
                io_open=refuse,
                hwaccel=hwaccel,
            ) as container:
                yield container
        except av.FFmpegError as error:
            raise MediaError(
                f"{shown} cannot be read as media (FFmpeg: {error.strerror}); allowed are complete, "
                "self-contained files such as mp4, mov, mkv, webm, avi, ts, mpg, ogg, wav, mp3; "
                "playlists, texts and pictures are not: re-encode or remove it"
            ) from error


def check_gpu_decoder(gpu: int) -> None:
    """Raises DeviceUnusable where FFmpeg cannot use this GPU's decoder; leaves nothing on the GPU."""
    try:
        if sys.platform == "linux":  # FFmpeg looks for it at the first picture, and goes on without
            ctypes.CDLL("libnvcuvid.so.1")
        HWAccel("cuda", str(gpu)).create(av.Codec("h264", "r"))
    except (OSError, NotImplementedError) as error:  # FFmpeg's errors are OSErrors
        raise DeviceUnusable(
            f"--decode cuda: the video decoder of GPU {gpu} cannot be used ({error}): check the driver "
            f"({command('doctor')}), in a container NVIDIA_DRIVER_CAPABILITIES (video is needed), or use "
            "--decode cpu"
        ) from error


def _gpu_decoder(gpu: int) -> HWAccel:
    _context(gpu)
    return _accelerator(gpu)


@functools.cache
def _context(gpu: int) -> HWAccel:
    """Holds on to a GPU's context, so that not every file makes a new one."""
    check_gpu_decoder(gpu)
    return _accelerator(gpu).create(av.Codec("h264", "r"))


def _accelerator(gpu: int) -> HWAccel:
    return HWAccel("cuda", str(gpu), allow_software_fallback=True, options={"primary_ctx": "1"})


def is_gpus(frame: av.VideoFrame) -> bool:
    """Whether a GPU decoded it, of a stream that one was asked to. Of 4:4:4 it cannot be seen: assumed."""
    return frame.format.name in PLANAR or "444" in frame.format.name


def in_planes(frame: av.VideoFrame) -> av.VideoFrame:
    """The same values as a CPU's decoder lays them out, whose conversion to RGB is another than NVDEC's."""
    planar = PLANAR.get(frame.format.name)
    return frame if planar is None else frame.reformat(format=planar)


def open_regular(path: PathLike) -> BinaryIO:
    """The file, opened without ever waiting for the other end of a pipe. Raises MediaError if it is none."""
    shown = repr(os.fsdecode(path))

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


def choose_streams(container: InputContainer) -> ChosenStreams:
    """The streams of :func:`choose_video` and :func:`choose_audio`, unless their headers cannot be true."""
    video, audio = choose_video(container), choose_audio(container)
    no_video = no_audio = None
    if video is not None and (no_video := refuse_pictures(video)):
        video = None
    elif video is None and any(not _is_cover(stream) for stream in container.streams.video):
        no_video = "no decoder knows its picture's codec; re-encode it"
    if audio is not None and (no_audio := refuse_sound(audio)):
        audio = None
    elif audio is None and container.streams.audio:
        no_audio = "no decoder knows its sound's codec; re-encode it"
    return ChosenStreams(video, audio, no_video, no_audio)


def choose_video(container: InputContainer) -> VideoStream | None:
    """The video stream that all of Marquee sees, or None.

    FFmpeg's own choice (``av_find_best_stream``: default disposition first, then the one with
    more pictures and bits); cover art and streams that no decoder knows are passed over.
    """
    usable = [s for s in container.streams.video if s.codec_context is not None and not _is_cover(s)]
    best = _best_video(container)
    return next((s for s in usable if s is best), usable[0] if usable else None)


def choose_audio(container: InputContainer) -> AudioStream | None:
    """The first audio track marked as default, else the first one; None if there is none.

    Of several programs (a transport stream may carry many) only that of :func:`choose_video`'s picture
    counts, if it has sound.
    """
    usable = [s for s in container.streams.audio if s.codec_context is not None]
    picture = choose_video(container)
    beside = [s for s in usable if picture is _best_video(container, beside=s)]
    candidates = beside or usable
    default = next((s for s in candidates if s.disposition & Disposition.default), None)
    return default or next(iter(candidates), None)


def _best_video(container: InputContainer, *, beside: Stream | None = None) -> Stream | None:
    """FFmpeg's own choice, of the program of another stream if there are several programs."""
    try:
        return container.streams.best("video", related=beside)
    except IndexError:  # a stream that came up while the file was opened, too late for PyAV
        return None


def open_decoder(stream: VideoStream | AudioStream, *, threads: int = 1, strict: bool = False) -> None:
    """Set the stream's decoder up; one thread unless told otherwise (one process per video).

    With ``strict`` damage is an error instead of being concealed with what was decoded before.
    """
    options = {"max_pixels": str(MAX_PIXELS)}
    if strict:
        options["err_detect"] = "explode"
    stream.codec_context.options = options
    stream.codec_context.copy_opaque = True  # a frame carries its packet's extract.media.clock.Stamp
    if stream.codec_context.is_hwaccel:
        threads = 1
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

"""Small copies by a system FFmpeg: the command, and one encoder process after another.

FFmpeg is given descriptors of files that were opened here, never names: no name can be taken for
an option, a pattern or a URL, and what a file refers to beside itself cannot be found. Demuxers
are those of :mod:`extract.media.container`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from extract.errors import MediaError, MissingDependency, to_install
from extract.media.container import DEMUXERS, choose_audio, choose_video, open_container
from extract.types import MediaInfo
from pipeline.copies.recipe_name import RecipeName

STALL_SECONDS = 300.0  # FFmpeg reports twice a second
LOG_LINES = 12
AUDIO_RATE = 48_000  # what Opus works at
AUDIO_GAP_SECONDS = 0.1  # from here on a gap is silence, as in extract.media.audio
TIME_BASE = "1:1000"  # Matroska's own, so times are rounded once, to a millisecond
_NEEDED = {"libx265": "-encoders", "libopus": "-encoders", "fps_mode": "-h long"}
_HOW = (
    "install one: `apt install ffmpeg` (Debian 12, Ubuntu 23.04 or newer), `brew install ffmpeg` (macOS), "
    "`conda install -c conda-forge ffmpeg`"
)


@dataclass(frozen=True)
class Recipe:
    """How a small copy is encoded: HEVC by x265, and Opus, mono.

    Sulun et al. 2024 ("Movie trailer genre classification using multimodal pretrained features",
    data section) name x265, CRF 23, a height of at least 300 px and 48 kbit/s. Their repository
    (serkansulun/movie-genre-classification, download_movienet.py) has 16 kbit/s and the preset
    ultrafast; the paper names no preset, so x265's default is taken for it.

    Args:
        preset: of x265.
        audio_kbit: of Opus, thousands of bits per second.
        crf: x265's constant rate factor, 0 to 51; lower is better and larger.
        height: of the upright picture in pixels, even; lower pictures keep theirs.
    """

    preset: str
    audio_kbit: int
    crf: int = 23
    height: int = 300

    def __post_init__(self) -> None:
        if not 6 <= self.audio_kbit <= 256:
            raise ValueError(f"audio_kbit is {self.audio_kbit}; Opus takes 6 to 256 for one channel")
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf is {self.crf}; x265 takes 0 to 51")
        if self.height < 16 or self.height % 2:
            raise ValueError(f"height is {self.height}; an even number from 16 is needed")

    def size(self, media: MediaInfo) -> tuple[int, int]:
        """Width and height of the copy: upright, square pixels, both even, never enlarged."""
        assert media.width is not None and media.height is not None
        height = min(self.height, max(2, media.height - media.height % 2))
        return max(2, 2 * round(media.width * height / media.height / 2)), height

    def settings(self) -> dict[str, Any]:
        """What the values of a copy depend on."""
        return asdict(self)


RECIPES: dict[RecipeName, Recipe] = {
    "paper": Recipe(preset="medium", audio_kbit=48),
    "code": Recipe(preset="ultrafast", audio_kbit=16),
}


class EncodeError(MediaError):
    """FFmpeg did not make the copy; ``log`` are the last lines that it wrote."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


def find_ffmpeg() -> str:
    """The ``ffmpeg`` of the PATH.

    Raises:
        MissingDependency: there is none, it lacks an encoder or is older than 5.1, or ffmpeg-python
            is not installed. The message says what to install.
    """
    try:
        import ffmpeg
    except ImportError:
        ffmpeg = None
    if not hasattr(ffmpeg, "compile"):  # other distributions install a module of this name too
        raise MissingDependency(f"prepare needs ffmpeg-python: {to_install('prepare')}")
    program = shutil.which("ffmpeg")
    if program is None:
        raise MissingDependency(f"no `ffmpeg` on the PATH; prepare needs FFmpeg 5.1 or newer: {_HOW}")
    for what, where in _NEEDED.items():
        done = subprocess.run(
            [program, "-hide_banner", *where.split()], stdin=subprocess.DEVNULL, capture_output=True
        )
        if what.encode() not in done.stdout:
            raise MissingDependency(
                f"{program} has no {what}; prepare needs FFmpeg 5.1 or newer with libx265 and libopus: {_HOW}"
            )
    return program


def command(
    program: str,
    *,
    source: str,
    target: str,
    media: MediaInfo,
    streams: tuple[int | None, int | None],
    recipe: Recipe,
    threads: int,
    tag: str,
) -> list[str]:
    """The arguments that make a copy, for a process that is started without a shell.

    Args:
        program: from :func:`find_ffmpeg`.
        source: URL of what FFmpeg reads.
        target: URL of what it writes.
        media: of the source.
        streams: indices of the video and the audio stream to copy, None for none.
        recipe: how to encode.
        threads: for decoding, and for x265.
        tag: ``NAME=VALUE``, written into the copy.
    """
    import ffmpeg

    opened = ffmpeg.input(
        source,
        format_whitelist=",".join(DEMUXERS),
        protocol_whitelist="file",
        threads=threads,
    )
    video, audio = streams
    parts: list[Any] = []
    options: dict[str, Any] = {
        "format": "matroska",
        "copyts": None,  # times as in the source: a file that starts at 100 s does so here
        "avoid_negative_ts": "disabled",  # else Opus' pre-skip would move the pictures
        "max_muxing_queue_size": 9999,
        "map_metadata": -1,
        "map_chapters": -1,
        "metadata": tag,
    }
    if video is not None:
        width, height = recipe.size(media)
        picture = opened[str(video)].filter("scale", width, height, flags="bicubic")
        parts.append(picture.filter("setsar", 1).filter("format", "yuv420p"))
        options |= _video_options(recipe, threads)
    if audio is not None:
        # Opus has no gaps: they become silence, overlaps are dropped, smaller jitter stays.
        steady = {"async": 1, "min_hard_comp": AUDIO_GAP_SECONDS}
        parts.append(opened[str(audio)].filter("aresample", AUDIO_RATE, **steady))
        options |= {"c:a": "libopus", "ac": 1, "ar": AUDIO_RATE, "b:a": f"{recipe.audio_kbit}k"}
    output = ffmpeg.output(*parts, target, **options)
    output = output.global_args("-hide_banner", "-nostdin", "-nostats", "-loglevel", "error")
    arguments: list[str] = output.global_args("-progress", "pipe:1", "-y").compile(cmd=program)
    return arguments


def _video_options(recipe: Recipe, threads: int) -> dict[str, Any]:
    return {
        "c:v": "libx265",
        "crf": recipe.crf,
        "preset": recipe.preset,
        "x265-params": f"log-level=error:pools={threads}",
        "fps_mode": "passthrough",
        "enc_time_base:v": TIME_BASE,
    }


class Encoder:
    """Runs FFmpeg, in as many threads as call :meth:`encode`; :meth:`close` ends them all."""

    def __init__(self, program: str, *, threads: int) -> None:
        self._program = program
        self._threads = threads
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False
        # Where this exists (Linux), the encoders of a killed run die with it.
        setpriv = shutil.which("setpriv")
        self._with_parent = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []

    def encode(
        self,
        source: Path,
        target: Path,
        *,
        media: MediaInfo,
        recipe: Recipe,
        tag: str,
        on_seconds: Callable[[float], None],
    ) -> None:
        """Write the small copy of ``source`` to ``target``; ``on_seconds`` hears how far it is.

        Raises:
            EncodeError: FFmpeg failed, was ended by :meth:`close`, or did not respond.
            MediaError: the source cannot be opened any more.
        """
        with open_container(source) as container:
            chosen = choose_video(container), choose_audio(container)
            video, audio = (None if stream is None else stream.index for stream in chosen)
        try:
            reading = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise MediaError(f"{os.fspath(source)!r} cannot be opened ({error.strerror})") from error
        writing = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            arguments = command(
                self._program,
                source=f"file:/dev/fd/{reading}",
                target=f"file:/dev/fd/{writing}",
                media=media,
                streams=(video, audio),
                recipe=recipe,
                threads=self._threads,
                tag=tag,
            )
            with tempfile.TemporaryFile() as log:
                status = self._run(arguments, (reading, writing), log, on_seconds)
                if status != 0:
                    raise EncodeError(f"ffmpeg {status}", _last_lines(log))
        finally:
            os.close(reading)
            os.close(writing)

    def close(self) -> None:
        """Kill what runs; what is encoded after this fails at once."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()

    def _run(
        self,
        arguments: list[str],
        descriptors: tuple[int, int],
        log: Any,
        on_seconds: Callable[[float], None],
    ) -> int | str:
        """0, or how the process ended."""
        with self._lock:
            if self._closed:
                return "was not started: the run is over"
            process = subprocess.Popen(
                [*self._with_parent, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
            self._running.add(process)
        try:
            alive = _follow(process, on_seconds)
        finally:
            process.kill()  # where it has ended already this does nothing
            status = process.wait()
            with self._lock:
                self._running.discard(process)
        if not alive:
            return f"did not respond for {STALL_SECONDS:g} s and was killed"
        return status if status == 0 else f"ended with status {status}"


def _follow(process: subprocess.Popen[bytes], on_seconds: Callable[[float], None]) -> bool:
    """Read the reports until the last one; False if they stop coming."""
    assert process.stdout is not None
    with process.stdout as pipe:
        while wait([pipe.fileno()], STALL_SECONDS):
            report = os.read(pipe.fileno(), 65_536)
            if not report:
                process.wait()
                return True
            for microseconds in re.findall(rb"out_time_us=(\d+)", report)[-1:]:
                on_seconds(int(microseconds) / 1e6)
    return False


def _last_lines(log: Any) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
    lines = log.read().decode("utf-8", "backslashreplace").splitlines()
    return "\n".join(lines[-LOG_LINES:])

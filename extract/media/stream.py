"""One pass over a file: pictures and audio as they come, each decoded once.

Memory does not grow with the file: at most a picture and about a second of audio wait here.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from extract.errors import MediaError
from extract.media.audio import AudioTrack
from extract.media.container import (
    PathLike,
    choose_audio,
    choose_video,
    discard_others,
    open_container,
    open_decoder,
)
from extract.media.picture import Picture, View
from extract.types import AudioBlock, MediaInfo

RESET_SECONDS = 1.0  # a timestamp that falls back further is a restart of the clock
MAX_GAP_SECONDS = 600.0  # one that runs ahead further is damage
STEP_SECONDS = 1e-6  # between pictures whose timestamps do not rise
DEFAULT_FPS = 25.0  # for the length of a last picture, where nothing says it


@dataclass
class DecodeCounts:
    """What was decoded so far, whoever decoded it (:func:`read`, ``seek.fetch``); read any time.

    ``pictures_decoded`` over the pictures of a video is its number of decodes. ``decode_errors``
    are packets that gave nothing, ``corrupt_pictures`` what the decoder itself says it patched up,
    ``truncated`` files have fewer pictures than their index names (MP4, MOV, AVI; others do not say).
    """

    pictures_decoded: int = 0
    samples_decoded: int = 0
    video_packets: int = 0
    audio_packets: int = 0
    decode_errors: int = 0
    corrupt_pictures: int = 0
    seeks: int = 0
    truncated: bool = False
    first_seconds: float | None = None
    last_seconds: float | None = None

    @property
    def partial(self) -> bool:
        """Whether anything of the file was lost."""
        return self.truncated or self.decode_errors > 0 or self.corrupt_pictures > 0

    def saw(self, start_seconds: float, end_seconds: float) -> None:
        """Widen the span of what was decoded."""
        if self.first_seconds is None or start_seconds < self.first_seconds:
            self.first_seconds = start_seconds
        if self.last_seconds is None or end_seconds > self.last_seconds:
            self.last_seconds = end_seconds


class PictureClock:
    """Frames in presentation order to pictures whose seconds never go back, one frame late.

    A picture starts at its PTS (else DTS, else one frame after the last) and ends where the next
    one starts; the last one lasts its own duration, or one frame. A PTS that does not rise is
    moved to a microsecond after the last picture's; one that falls back by more than 1 s or runs
    ahead by more than 10 min is a restart: its picture follows one frame after the last, and the
    ones after it keep their distance to it.
    """

    def __init__(self, stream: VideoStream, media: MediaInfo) -> None:
        if stream.time_base is None:
            raise MediaError(f"{media.path!r}: its video has no time base; re-encode it")
        self._time_base = stream.time_base
        self._frame_seconds = 1 / (media.fps or DEFAULT_FPS)
        self._view = View(media)
        self._shift_seconds = 0.0
        self._waiting: tuple[av.VideoFrame, int, float] | None = None
        self._index = 0

    def push(self, frame: av.VideoFrame) -> Iterator[Picture]:
        """The picture before this frame, if there is one."""
        pts = self._pts(frame)
        start_seconds = self._start_seconds(pts)
        yield from self._complete(start_seconds)
        self._waiting = (frame, pts, start_seconds)

    def finish(self) -> Iterator[Picture]:
        """The last picture."""
        if self._waiting is not None:
            frame, _, start_seconds = self._waiting
            lasts_seconds = (frame.duration or 0) * float(self._time_base) or self._frame_seconds
            yield from self._complete(start_seconds + lasts_seconds)

    def _complete(self, end_seconds: float) -> Iterator[Picture]:
        if self._waiting is not None:
            frame, pts, start_seconds = self._waiting
            self._waiting = None
            self._index += 1
            yield Picture(frame, self._view, self._index - 1, pts, start_seconds, end_seconds)

    def _pts(self, frame: av.VideoFrame) -> int:
        for pts in (frame.pts, frame.dts):
            if pts is not None:
                return pts
        step = max(1, round(self._frame_seconds / float(self._time_base)))
        return 0 if self._waiting is None else self._waiting[1] + step

    def _start_seconds(self, pts: int) -> float:
        seconds = pts * self._time_base.numerator / self._time_base.denominator + self._shift_seconds
        if self._waiting is None:
            return seconds
        last_seconds = self._waiting[2]
        if not -RESET_SECONDS <= seconds - last_seconds <= MAX_GAP_SECONDS:
            follows = last_seconds + self._frame_seconds
            self._shift_seconds += follows - seconds
            return follows
        return seconds if seconds > last_seconds else last_seconds + STEP_SECONDS


def read(
    path: PathLike,
    *,
    media: MediaInfo,
    video: bool,
    audio_rates: Sequence[int],
    counts: DecodeCounts,
    threads: int = 1,
) -> Generator[Picture | AudioBlock, None, None]:
    """Decode a file once, and of it only what is asked for.

    Pictures come in presentation order with ``index`` 0, 1, ...; audio blocks in time order for
    each rate; the two as they lie in the file, so one may run ahead of the other by what the
    container interleaves. All seconds are PTS * time base: a file that starts at 100 s does so here.

    Args:
        path: the file that ``media`` was probed from.
        media: from :func:`extract.media.probe.probe`.
        video: whether pictures are wanted; else their packets are not even read.
        audio_rates: the rates at which mono audio is wanted; empty for none.
        counts: added to while reading. Damaged packets are counted there and skipped.
        threads: decoder threads; one is best where each core has its own video.

    Raises:
        MediaError: the file cannot be opened, or nothing of what was asked could be decoded.
    """
    with open_container(path) as container:
        for part in _parts(container, media, video, audio_rates, counts, threads):
            counts.saw(part.start_seconds, part.end_seconds)
            yield part


def _parts(
    container: InputContainer,
    media: MediaInfo,
    video: bool,
    audio_rates: Sequence[int],
    counts: DecodeCounts,
    threads: int,
) -> Iterator[Picture | AudioBlock]:
    picture_stream = choose_video(container) if video else None
    audio_stream = choose_audio(container) if audio_rates else None
    chosen = [s for s in (picture_stream, audio_stream) if s is not None]
    if not chosen:
        return
    clock = None if picture_stream is None else PictureClock(picture_stream, media)
    track = AudioTrack(audio_rates)
    before = replace(counts)
    discard_others(container, chosen)
    for stream in chosen:
        open_decoder(stream, threads=threads)
    for packet in packets(container, chosen, counts):
        for frame in decode(packet, counts):
            if isinstance(frame, av.AudioFrame):
                yield from track.push(frame)
            elif clock is not None:
                yield from clock.push(frame)
    if clock is not None:
        yield from clock.finish()
    yield from track.finish()
    if picture_stream is not None and counts.video_packets - before.video_packets < picture_stream.frames:
        counts.truncated = True
    if (counts.pictures_decoded, counts.samples_decoded) == (before.pictures_decoded, before.samples_decoded):
        raise MediaError(
            f"{media.path!r}: nothing could be decoded (video {media.video_codec}, audio "
            f"{media.audio_codec}, {counts.decode_errors - before.decode_errors} damaged packets); "
            "re-encode or remove it"
        )


def packets(
    container: InputContainer, chosen: Sequence[VideoStream | AudioStream], counts: DecodeCounts
) -> Iterator[av.Packet[Any]]:
    """The packets of the chosen streams from where the container stands, then one flush each.

    A demuxer that fails half-way is the end of a truncated file, not an error.
    """
    try:
        yield from container.demux(list(chosen))
    except av.FFmpegError:
        counts.truncated = True
        for stream in chosen:
            flush: av.Packet[Any] = av.Packet()
            flush.stream = stream
            yield flush


def decode(
    packet: av.Packet[Any], counts: DecodeCounts, *, strict: bool = False
) -> Sequence[av.VideoFrame | av.AudioFrame]:
    """The frames that a packet completes; none if it is damaged, which is counted.

    An empty packet that has a time (Theora) repeats the picture before it, which just stays.

    Raises:
        av.FFmpegError: only if ``strict``.
    """
    if not packet.size and packet.pts is not None:
        return ()
    try:
        frames = packet.decode()
    except av.FFmpegError:
        if strict:
            raise
        frames = []
        counts.decode_errors += 1
    else:
        counts.decode_errors += packet.is_corrupt
    is_video = isinstance(packet.stream, VideoStream)
    if packet.size:
        counts.video_packets += is_video
        counts.audio_packets += not is_video
    for frame in frames:
        if isinstance(frame, av.VideoFrame):
            counts.pictures_decoded += 1
            counts.corrupt_pictures += frame.is_corrupt
        else:
            counts.samples_decoded += frame.samples
    return frames

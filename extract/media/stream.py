"""One pass over a file: pictures and audio as they come, each decoded once.

Memory does not grow with the file: at most a few pictures and about a second of audio wait here.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from extract.media.audio import AudioTrack
from extract.media.clock import Packet, SharedClock, Stamp, Statement
from extract.media.completeness import Mp3Frames, mp3_frames, shortfall
from extract.media.container import (
    ChosenStreams,
    PathLike,
    choose_streams,
    discard_others,
    in_planes,
    is_gpus,
    open_container,
    open_decoder,
    open_regular,
)
from extract.media.damage import LastGood
from extract.media.limits import most_seconds, plausible_rate, rate_refusal
from extract.media.ogg import links
from extract.media.picture import Picture
from extract.media.picture_clock import PictureClock
from extract.types import AudioBlock, MediaInfo, Sound

RESTARTS = 0x0200  # AVFMT_TS_DISCONT of libavformat: the clock may jump anywhere, so no length is stated
COUNTED = ("aac", "mp3", "ac3", "eac3", "dts", "truehd", "amr")  # bare frames, whose times FFmpeg makes up
STATED = ("flv", "flac", "ivf")  # say how long they are, and nothing else about their size
STATED_TOLERANCE_SECONDS = 0.2

Kind = Literal["video", "audio"]


@dataclass
class DecodeCounts:
    """What was decoded so far, whoever decoded it (:func:`read`, ``seek.fetch``); read any time.

    ``pictures_decoded`` over the pictures of a video is its number of decodes; a GPU decoded
    ``pictures_by_gpu`` of them. ``decode_errors`` are packets that gave nothing, ``corrupt_pictures``
    those in whose place the last good one is shown
    (:mod:`extract.media.damage`), ``truncated`` files say themselves that there should be more
    (:mod:`extract.media.completeness`). ``refused`` says why a stream was given up on the way.
    """

    pictures_decoded: int = 0
    pictures_by_gpu: int = 0
    samples_decoded: int = 0
    video_packets: int = 0
    audio_packets: int = 0
    decode_errors: int = 0
    corrupt_pictures: int = 0
    seeks: int = 0
    truncated: bool = False
    first_seconds: float | None = None
    last_seconds: float | None = None
    refused: dict[Kind, str] = field(default_factory=dict)

    @property
    def partial(self) -> bool:
        """Whether anything of the file was lost."""
        return self.truncated or self.decode_errors > 0 or self.corrupt_pictures > 0 or bool(self.refused)

    def saw(self, start_seconds: float, end_seconds: float) -> None:
        """Widen the span of what was decoded."""
        if self.first_seconds is None or start_seconds < self.first_seconds:
            self.first_seconds = start_seconds
        if self.last_seconds is None or end_seconds > self.last_seconds:
            self.last_seconds = end_seconds


def read(
    path: PathLike,
    *,
    media: MediaInfo,
    video: bool,
    sounds: Sequence[Sound],
    counts: DecodeCounts,
    threads: int = 1,
    gpu: int | None = None,
) -> Generator[Picture | AudioBlock, None, None]:
    """Decode a file once, and of it only what is asked for.

    Pictures come in presentation order with ``index`` 0, 1, ...; audio blocks in time order for
    each sound; the two as they lie in the file, so one may run ahead of the other by what the
    container interleaves. All seconds are PTS * time base on one clock for both
    (:mod:`extract.media.clock`): a file that starts at 100 s does so here. That clock reads the packets of
    picture and sound whatever is asked for, so times do not depend on it either.

    Args:
        path: the file that ``media`` was probed from.
        media: from :func:`extract.media.probe.probe`.
        video: whether pictures are wanted.
        sounds: the rates and downmixes in which audio is wanted; empty for none.
        counts: added to while reading. Damaged packets are counted there and skipped; a stream that turns
            out to be impossible is named there and ends.
        threads: decoder threads; one is best where each core has its own video.
        gpu: the number of the GPU that decodes pictures (:func:`~extract.media.container.open_container`).

    A stream of which nothing can be decoded gives nothing: that is for the caller to notice.

    Raises:
        MediaError: the file cannot be opened.
    """
    one_pass = _Pass(path, media, video, sounds, counts)
    for stretch in links(path) if media.container == "ogg" else [None]:
        with open_container(path, stretch, gpu=gpu if video else None) as container:
            for part in one_pass.read(container, threads):
                counts.saw(part.start_seconds, part.end_seconds)
                yield part
    yield from one_pass.finish()


class _Pass:
    """What carries over from one link of a chained file to the next."""

    def __init__(
        self, path: PathLike, media: MediaInfo, video: bool, sounds: Sequence[Sound], counts: DecodeCounts
    ) -> None:
        self._path, self._media, self._counts = path, media, counts
        self._video = video and media.has_video
        self._sounds = sounds if media.has_audio else ()
        self._track = AudioTrack(self._sounds, counted=media.container in COUNTED)
        self._next_index = 0
        self._end_seconds: float | None = None  # of the links before
        self._packets = 0  # of the picture
        self._mp3 = Mp3Frames()

    def read(self, container: InputContainer, threads: int) -> Iterator[Picture | AudioBlock]:
        """One link of the file, which is the whole file unless it is chained."""
        streams = choose_streams(container)
        wanted = {
            stream.index
            for stream, asked in ((streams.video, self._video), (streams.audio, bool(self._sounds)))
            if stream is not None and asked
        }
        if not wanted:
            return
        shared = SharedClock(
            _statement(container, self._media),
            most_seconds=most_seconds(self._media.size_bytes),
            start_seconds=self._end_seconds,
        )
        pictures = None
        if streams.video is not None and self._video:
            pictures = _Pictures(streams.video, self._media, self._next_index)
        discard_others(container, streams.readable)
        for stream in streams.readable:
            open_decoder(stream, threads=threads)
        for packet in shared.stamp(packets(container, streams.readable, self._counts)):
            kind: Kind = "video" if isinstance(packet.stream, VideoStream) else "audio"
            self._packets += kind == "video" and packet.size > 0
            if self._media.container == "mp3":
                self._mp3.push(bytes(packet))
            if packet.stream.index not in wanted or kind in self._counts.refused:
                continue
            if packet.stream.index in shared.refused:
                self._counts.refused[kind] = shared.refused[packet.stream.index]
            elif kind == "video" and pictures is not None:
                yield from pictures.decode(packet, self._counts)
            else:
                yield from self._hear(packet)
        if pictures is not None:
            yield from pictures.finish(shared.latest_seconds)
            self._counts.corrupt_pictures += pictures.replaced
            self._next_index = pictures.next_index
        self._end_seconds = shared.end_seconds
        if self._incomplete(container, streams, shared):
            self._counts.truncated = True

    def finish(self) -> Iterator[AudioBlock]:
        for block in self._track.finish():
            self._counts.saw(block.start_seconds, block.end_seconds)
            yield block

    def _hear(self, packet: Packet) -> Iterator[AudioBlock]:
        for frame in decode(packet, self._counts):
            assert isinstance(frame, av.AudioFrame)
            if not plausible_rate(frame.sample_rate):
                self._counts.refused["audio"] = rate_refusal(frame.sample_rate)
                return
            stamp = frame.opaque
            yield from self._track.push(frame, stamp.shift_seconds if isinstance(stamp, Stamp) else 0.0)
        if self._track.refusal is not None:
            self._counts.refused["audio"] = self._track.refusal

    def _incomplete(self, container: InputContainer, streams: ChosenStreams, shared: SharedClock) -> bool:
        """Whether the file's own structure says that there should be more of it."""
        name = container.format.name
        with open_regular(self._path) as file:
            if shortfall(file, self._media.size_bytes, name):
                return True
            if name == "mp3" and (self._mp3.last_is_cut or self._mp3.count + 1 < (mp3_frames(file) or 0)):
                return True
        if name.startswith("mov") and streams.video is not None and self._packets < streams.video.frames:
            return True
        return name in STATED and shared.short_of_statement_seconds > STATED_TOLERANCE_SECONDS


class _Pictures:
    """A video stream's packets to pictures: decoded, damage replaced, on the clock."""

    def __init__(self, stream: VideoStream, media: MediaInfo, first_index: int) -> None:
        self._clock = PictureClock(stream, media, first_index=first_index)
        self._last_good = LastGood()

    @property
    def next_index(self) -> int:
        return self._clock.next_index

    @property
    def replaced(self) -> int:
        return self._last_good.replaced

    def decode(self, packet: Packet, counts: DecodeCounts) -> Iterator[Picture]:
        for frame in decode(packet, counts):
            assert isinstance(frame, av.VideoFrame)
            stamp = frame.opaque
            shift_seconds = stamp.shift_seconds if isinstance(stamp, Stamp) else 0.0
            yield from self._clock.push(self._last_good.push(frame), shift_seconds)

    def finish(self, latest_seconds: float) -> Iterator[Picture]:
        yield from self._clock.finish(latest_seconds)


def _statement(container: InputContainer, media: MediaInfo) -> Statement:
    """How long the container says that it is, unless no file of its size can be."""
    restarts = bool(container.format.flags & RESTARTS)
    if container.duration is None or container.duration <= 0:
        return Statement(None, restarts)
    start_seconds = (container.start_time or 0) / av.time_base
    length_seconds = container.duration / av.time_base
    if length_seconds > most_seconds(media.size_bytes):
        return Statement(None, restarts)
    return Statement(start_seconds + length_seconds, restarts)


def packets(
    container: InputContainer, chosen: Sequence[VideoStream | AudioStream], counts: DecodeCounts
) -> Iterator[Packet]:
    """The packets of the chosen streams from where the container stands, then one flush each.

    A demuxer that fails half-way is the end of a truncated file, not an error.
    """
    try:
        yield from container.demux(list(chosen))
    except IndexError:
        return  # PyAV, after its last flush: damage has made streams come up that it does not know
    except av.FFmpegError:
        counts.truncated = True
        for stream in chosen:
            flush: Packet = av.Packet()
            flush.stream = stream
            yield flush


def decode(
    packet: Packet, counts: DecodeCounts, *, strict: bool = False
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
    by_gpu = is_video and packet.stream.codec_context.is_hwaccel
    for frame in frames:
        if isinstance(frame, av.VideoFrame):
            counts.pictures_decoded += 1
            counts.pictures_by_gpu += by_gpu and is_gpus(frame)
        else:
            counts.samples_decoded += frame.samples
            counts.decode_errors += frame.is_corrupt
    return [in_planes(frame) for frame in frames if isinstance(frame, av.VideoFrame)] if by_gpu else frames

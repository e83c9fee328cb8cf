"""A stretch of a film as a file of its own, by PyAV: its packets as they are, or encoded again.

A stream can be copied from a keyframe on only, so a copy begins with the last keyframe that is shown no later
than the stretch; encoded again, it begins with the stretch's first picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from extract.errors import MediaError
from extract.media.container import choose_streams, open_container, open_decoder
from extract.media.picture import View
from extract.media.probe import probe

CRF = "18"  # of x264: hardly to be told from the film
CLOCK = Fraction(1, 90_000)
RATE = 48_000  # of the sound, Hz
SOUND_BITS = 192_000  # a second, of AAC in stereo
_SAME_SECONDS = 0.001  # times in tables and in files that differ by less are the same
_BACK_SECONDS = (0.0, 2.0, 10.0, 60.0)  # to jump before the stretch, until a keyframe comes in time
_GAP_SECONDS = 0.1  # of the sound, from which on it is silence


def copy_stretch(source: Path, target: Path, start_seconds: float, end_seconds: float) -> float:
    """Write the packets of picture and sound into a Matroska file; where on the film's clock it begins.

    Raises MediaError for a film that cannot be read, or has no picture.
    """
    with open_container(source) as film:
        video, audio = _streams(film, source)
        chosen = [stream for stream in (video, audio) if stream is not None]
        first = _jump(film, video, start_seconds)
        with _written(target, "matroska", source) as out:
            copies = {stream.index: out.add_stream_from_template(stream) for stream in chosen}
            latest: int | None = None  # of the pictures so far, in their time base
            over: set[int] = set()
            for packet in film.demux(chosen):
                if packet.dts is None or packet.pts is None:
                    continue
                index, base = packet.stream_index, packet.time_base
                late = packet.dts * base >= end_seconds
                if index == video.index:
                    if latest is None and not packet.is_keyframe:
                        continue
                    # what is shown before a picture that is there already is needed, however late it comes
                    late = late and (latest is None or packet.pts > latest)
                    latest = packet.pts if latest is None else max(latest, packet.pts)
                elif packet.pts * base < first:
                    continue
                if late or index in over:
                    over.add(index)
                    if len(over) == len(chosen):
                        break
                    continue
                shift = round(first / base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = copies[index]
                out.mux(packet)
    return float(first)


def encode_stretch(source: Path, target: Path, start_seconds: float, end_seconds: float) -> None:
    """Write an MP4 of H.264 (x264, CRF 18, upright, square pixels) and AAC, exact to the picture.

    Every picture keeps its time, so a film of changing rate stays one. Raises MediaError as
    :func:`copy_stretch`.
    """
    media = probe(source)
    with open_container(source) as film:
        video, audio = _streams(film, source)
        chosen = [stream for stream in (video, audio) if stream is not None]
        for stream in chosen:
            open_decoder(stream, threads=0)
        _jump(film, video, start_seconds)
        with _written(target, "mp4", source) as out:
            view, pictures = View(media), _encoder(out, View(media))
            sound = None if audio is None else _Sound(out, start_seconds, end_seconds)
            seen = 0
            for frame in _frames(film, chosen, end_seconds):
                if isinstance(frame, av.VideoFrame):
                    if frame.time is None or frame.time < start_seconds - _SAME_SECONDS:
                        continue
                    image = view.image(frame, width=pictures.width, height=pictures.height, format="rgb24")
                    made = av.VideoFrame.from_ndarray(image, format="rgb24")
                    made.pts = max(0, round((frame.time - start_seconds) / CLOCK))
                    made.time_base = CLOCK
                    out.mux(pictures.encode(made))
                    seen += 1
                elif sound is not None:
                    sound.push(frame)
            if not seen:
                raise MediaError(f"{str(source)!r} shows no picture there")
            out.mux(pictures.encode(None))
            if sound is not None:
                sound.finish()


def _streams(film: InputContainer, source: Path) -> tuple[VideoStream, Any]:
    chosen = choose_streams(film)
    if chosen.video is None:
        raise MediaError(f"{str(source)!r} has no picture" + (f": {chosen.no_video}" * bool(chosen.no_video)))
    return chosen.video, chosen.audio


def _jump(film: InputContainer, video: VideoStream, seconds: float) -> Fraction:
    """Stand before the last keyframe shown no later than ``seconds``; its time.

    Where no jump leads to one, before the first keyframe of the film.
    """
    base = video.time_base
    assert base is not None
    for back in _BACK_SECONDS:
        offset = int((seconds + _SAME_SECONDS - back) / base)
        try:
            film.seek(offset, stream=video, backward=True)
            first = _first_keyframe(film, video)
            if first is not None and first * base <= seconds + _SAME_SECONDS:
                film.seek(offset, stream=video, backward=True)
                return first * base
        except av.FFmpegError:
            continue
    film.seek(0, backward=True)
    first = _first_keyframe(film, video)
    film.seek(0, backward=True)
    return Fraction(0) if first is None else first * base


def _first_keyframe(film: InputContainer, video: VideoStream) -> int | None:
    packets = film.demux(video)
    return next((packet.pts for packet in packets if packet.is_keyframe and packet.pts is not None), None)


def _frames(film: InputContainer, streams: list[Any], end_seconds: float) -> Iterator[Any]:
    """Decoded frames that begin before the end, until those of every stream have."""
    over: set[int] = set()
    for packet in film.demux(streams):
        try:
            frames: list[Any] = packet.decode()
        except av.FFmpegError:
            continue  # damage costs these frames only
        for frame in frames:
            if frame.time is not None and frame.time >= end_seconds - _SAME_SECONDS:
                over.add(packet.stream_index)
            elif packet.stream_index not in over:
                yield frame
        if len(over) == len(streams):
            return


def _written(target: Path, container: str, source: Path) -> OutputContainer:
    options = {"movflags": "+faststart"} if container == "mp4" else {}
    return av.open(str(target), "w", format=container, options=options)


def _encoder(out: OutputContainer, view: View) -> Any:
    stream: Any = out.add_stream("libx264", options={"crf": CRF, "preset": "veryfast"})
    stream.width, stream.height = view.width + view.width % 2, view.height + view.height % 2
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = stream.time_base = CLOCK
    return stream


class _Sound:
    """The sound of a stretch, to the sample: what lies before it is cut off, what is missing is silence."""

    def __init__(self, out: OutputContainer, start_seconds: float, end_seconds: float) -> None:
        self._out, self._start = out, start_seconds
        self._samples = round((end_seconds - start_seconds) * RATE)
        self._stream: Any = out.add_stream("aac", rate=RATE)
        self._stream.layout, self._stream.bit_rate = "stereo", SOUND_BITS
        self._resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        self._done = 0

    def push(self, frame: av.AudioFrame) -> None:
        if frame.time is None:
            return
        ahead = round((frame.time - self._start) * RATE) - self._done
        for made in self._resampler.resample(frame):
            samples = made.to_ndarray()
            if self._done == 0 and ahead < 0:
                samples, ahead = samples[:, -ahead:], min(0, ahead + samples.shape[1])
            elif ahead > (_GAP_SECONDS * RATE if self._done else 0):
                self._write(np.zeros((2, ahead), np.float32))
            self._write(samples)

    def finish(self) -> None:
        self._out.mux(self._stream.encode(None))

    def _write(self, samples: np.ndarray[Any, Any]) -> None:
        samples = samples[:, : self._samples - self._done]
        if samples.shape[1]:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, self._done, Fraction(1, RATE)
            self._done += samples.shape[1]
            self._out.mux(self._stream.encode(frame))

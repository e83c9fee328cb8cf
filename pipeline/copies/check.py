"""Whether a small copy is one, whose it is, and whether it is whole."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av

from extract.errors import MediaError
from extract.media.container import choose_audio, choose_video, discard_others, open_container
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read
from extract.types import AudioBlock, MediaInfo, Sound
from pipeline.copies.ffmpeg import Recipe

TAG = "MARQUEE_PREPARE"
MILLISECOND = 0.001
AUDIO_TOLERANCE_SECONDS = 0.1  # as in extract.media.audio: timestamps may jitter this far
_ANY_SOUND = Sound(16_000)

Interval = tuple[float, float]


@dataclass(frozen=True)
class Spans:
    """First and last second of the video and of the audio; None where there is none."""

    video: Interval | None
    audio: Interval | None


def tag_of(path: Path) -> str | None:
    """What prepare wrote into a file; None if it is not a copy that prepare made."""
    with suppress(MediaError), open_container(path) as container:
        return container.metadata.get(TAG)
    return None


def check_copy(copy: Path, source: Path, media: MediaInfo, recipe: Recipe) -> None:
    """That a copy has the streams of its source, the wanted picture, and the same start and end.

    Times are compared in the packets first, which costs next to nothing. Where they differ (a
    damaged source: packets that no decoder makes anything of), both files are decoded.

    Raises:
        MediaError: it is not so; the message says what differs.
    """
    made = probe(copy)
    size = recipe.size(media) if media.has_video else (None, None)
    wanted = ("hevc" if media.has_video else None, "opus" if media.has_audio else None, *size, 0, 1.0)
    found = (
        *(made.video_codec, made.audio_codec, made.width, made.height),
        *(made.rotation_degrees, made.sample_aspect_ratio),
    )
    if found != wanted:
        raise MediaError(f"the copy is {found}, not {wanted} (codecs, size, rotation, pixel aspect ratio)")
    if _difference(packet_spans(source), packet_spans(copy), media):
        difference = _difference(decoded_spans(source, media), decoded_spans(copy, made), media)
        if difference:
            raise MediaError(f"the copy's times are not the source's: {difference}")


def packet_spans(path: Path) -> Spans:
    """From the packets' timestamps, without decoding; packets that are not shown do not count."""
    found: dict[int, list[float]] = {}
    with open_container(path) as container:
        video, audio = choose_video(container), choose_audio(container)
        chosen = [stream for stream in (video, audio) if stream is not None]
        discard_others(container, chosen)
        with suppress(av.FFmpegError):  # the end of a truncated file
            for packet in container.demux(chosen):
                pts = packet.dts if packet.pts is None else packet.pts
                if pts is None or packet.is_discard or packet.time_base is None:
                    continue
                start = float(pts * packet.time_base)
                end = start + float((packet.duration or 0) * packet.time_base)
                seen = found.setdefault(packet.stream_index, [start, end])
                seen[:] = min(seen[0], start), max(seen[1], end)

        def span(index: int | None) -> Interval | None:
            seen = None if index is None else found.get(index)
            return None if seen is None else (seen[0], seen[1])

        return Spans(
            span(None if video is None else video.index), span(None if audio is None else audio.index)
        )


def decoded_spans(path: Path, media: MediaInfo) -> Spans:
    """What the experts would get: the first and last second of the pictures and of the samples."""
    video: Interval | None = None
    audio: Interval | None = None
    sounds = (_ANY_SOUND,) if media.has_audio else ()
    for part in read(path, media=media, video=media.has_video, sounds=sounds, counts=DecodeCounts()):
        if isinstance(part, AudioBlock):
            audio = (audio[0] if audio else part.start_seconds, part.end_seconds)
        else:
            video = (video[0] if video else part.start_seconds, part.end_seconds)
    return Spans(video, audio)


def _difference(source: Spans, copy: Spans, media: MediaInfo) -> str | None:
    """The first stream whose start or end is off, in words."""
    frame_seconds = 1 / media.fps if media.fps else 0.0
    for kind, mine, theirs, tolerance in (
        ("video", copy.video, source.video, frame_seconds + 2 * MILLISECOND),
        ("audio", copy.audio, source.audio, AUDIO_TOLERANCE_SECONDS),
    ):
        if mine is None and theirs is None:
            continue
        if mine is None or theirs is None:
            return f"{kind} is in only one of them"
        if max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) > tolerance:
            return (
                f"{kind} lies from {mine[0]:.3f} to {mine[1]:.3f} s, "
                f"in the source from {theirs[0]:.3f} to {theirs[1]:.3f} s"
            )
    return None

"""What a file is, from its headers and its first picture."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import islice
from typing import Any

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from extract.errors import MediaError
from extract.media.container import (
    MAX_PIXELS,
    PathLike,
    choose_streams,
    discard_others,
    open_container,
    open_decoder,
)
from extract.media.orientation import Orientation, orientation
from extract.types import MediaInfo

PROBE_PACKETS = 256  # how far to look for a first picture that decodes
MAX_STRETCH = 16  # a sample aspect ratio beyond this, either way, is damage


def probe(path: PathLike) -> MediaInfo:
    """Container, streams, upright size, rates; decodes one picture, for its rotation.

    The streams are those of :func:`extract.media.container.choose_video` (FFmpeg's choice, never
    cover art) and :func:`~extract.media.container.choose_audio` (the default track, else the
    first). ``rotation_degrees`` and ``flipped`` are what :mod:`extract.media.orientation` reads from
    the display matrix. ``width`` is the stored width times the sample aspect ratio,
    rounded, and changes places with ``height`` after a quarter turn.

    Raises:
        MediaError: the file cannot be opened (see :func:`open_container`), or it has no video
            and no audio that can be decoded.
    """
    with open_container(path) as container:
        video, audio, no_video, no_audio = choose_streams(container)
        shown = repr(os.fsdecode(path))
        first = None if video is None else _first_picture(container, video)
        if video is not None and (no_video := _refuse_size(first or video.codec_context)):
            video = None
        if video is None and audio is None:
            why = "; ".join(reason for reason in (no_video, no_audio) if reason) or "re-encode or remove it"
            raise MediaError(
                f"{shown} ({container.format.name}) has neither video nor audio that can be decoded: {why}"
            )
        picture = {} if video is None else _picture_fields(video, first)
        return MediaInfo(
            path=os.fsdecode(path),
            size_bytes=container.size,
            container=container.format.name,
            header_duration_seconds=None if container.duration is None else container.duration / av.time_base,
            has_video=video is not None,
            has_audio=audio is not None,
            audio_codec=None if audio is None else audio.codec_context.codec.canonical_name,
            sample_rate=None if audio is None else audio.codec_context.sample_rate or None,
            audio_tracks=len(container.streams.audio),
            unreadable_video=no_video,
            unreadable_audio=no_audio,
            **picture,
        )


def _refuse_size(picture: av.VideoFrame | VideoCodecContext) -> str | None:
    """Why pictures of this size are not read, or None."""
    width, height = picture.width, picture.height
    if 0 < width * height <= MAX_PIXELS:
        return None
    return (
        f"its pictures have {width}x{height} pixels; 1 to {MAX_PIXELS} are read: scale it, or remux the file "
        "if its header is damaged"
    )


def _picture_fields(stream: VideoStream, first: av.VideoFrame | None) -> dict[str, Any]:
    """The fields of MediaInfo that describe the video stream."""
    source = first or stream.codec_context
    width, height = source.width, source.height
    stretch = float(stream.sample_aspect_ratio or 1)
    if not 1 / MAX_STRETCH <= stretch <= MAX_STRETCH:
        stretch = 1.0
    turned = Orientation() if first is None else orientation(first)
    sideways = turned.degrees % 180 != 0
    upright = (max(1, round(width * stretch)), height)
    rate = stream.average_rate or stream.guessed_rate
    return {
        "width": upright[sideways],
        "height": upright[not sideways],
        "stored_width": width,
        "stored_height": height,
        "rotation_degrees": turned.degrees,
        "flipped": turned.flipped,
        "sample_aspect_ratio": stretch,
        "fps": float(rate) if rate else None,
        "video_codec": stream.codec_context.codec.canonical_name,
    }


def _first_picture(container: InputContainer, stream: VideoStream) -> av.VideoFrame | None:
    """The first picture that decodes, if one of the first packets gives one."""
    open_decoder(stream)
    discard_others(container, [stream])
    for packet in islice(container.demux(stream), PROBE_PACKETS):
        with suppress(av.FFmpegError):
            for picture in packet.decode():
                return picture
    return None

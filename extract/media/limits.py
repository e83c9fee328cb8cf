"""A header is a claim: what of it cannot be true, so that a few damaged bytes do not make days of rows."""

from __future__ import annotations

from av.audio.stream import AudioStream
from av.video.stream import VideoStream

SAMPLE_RATES = (
    4_000,
    768_000,
)  # per second: below is no sound that anyone records, above none that anyone sells
LONGEST_TICK_SECONDS = 600.0  # of the unit that pictures are timed in; one that is longer is not a unit
MOST_PICTURES_A_SECOND = 10_000
LEAST_COUNT = 8  # pictures of which a rate is believed
AGREEING, CONTRADICTING = 2.0, 4.0  # factors between rates of pictures
SECONDS_AT_LEAST = 3600.0  # a still of an hour in a file of any size, and ...
SECONDS_A_BYTE = 1.0  # ... a still of any length takes at least a byte for each second


def most_seconds(size_bytes: int) -> float:
    """How long a file of this size may be at the very most, stills included."""
    return SECONDS_AT_LEAST + SECONDS_A_BYTE * size_bytes


def refuse_sound(stream: AudioStream) -> str | None:
    """Why this track cannot be what its header says, or None."""
    rate = stream.codec_context.sample_rate
    return None if not rate or plausible_rate(rate) else rate_refusal(rate)


def plausible_rate(sample_rate: int) -> bool:
    return SAMPLE_RATES[0] <= sample_rate <= SAMPLE_RATES[1]


def rate_refusal(sample_rate: int) -> str:
    low, high = SAMPLE_RATES
    return (
        f"its header says {sample_rate} samples of sound a second; {low} to {high} are read: the header is "
        "damaged, remux the file"
    )


def refuse_pictures(stream: VideoStream) -> str | None:
    """Why this stream cannot be what its header says, or None."""
    tick_seconds = float(stream.time_base or 0)
    if tick_seconds > LONGEST_TICK_SECONDS:
        return (
            f"its header times pictures in units of {tick_seconds:g} s; up to {LONGEST_TICK_SECONDS:g} s are "
            "read: the header is damaged, remux the file"
        )
    rate = stream.average_rate
    if rate and rate > MOST_PICTURES_A_SECOND:
        return (
            f"its header says {float(rate):g} pictures a second; up to {MOST_PICTURES_A_SECOND} are read: "
            "the header is damaged, remux the file"
        )
    return _refuse_time_scale(stream, tick_seconds)


def _refuse_time_scale(stream: VideoStream, tick_seconds: float) -> str | None:
    """Two of three against the container's time scale.

    How many pictures there are and how long all of them last (in an MP4 by the edit list, which counts in
    another scale), and the rate that the codec itself states, agree with each other, and not with how far
    apart the container puts the pictures. Slides, time lapses and slow motion, whatever their codec states,
    are as long as their pictures are apart.
    """
    stated, own = stream.average_rate, stream.codec_context.framerate
    if not (stated and own and stream.duration and stream.frames >= LEAST_COUNT):
        return None
    counted = stream.frames / (stream.duration * tick_seconds)
    if _factor(counted, float(own)) > AGREEING or _factor(counted, float(stated)) < CONTRADICTING:
        return None
    return (
        f"its header puts its pictures {1 / float(stated):.3g} s apart, but says that {stream.frames} of "
        f"them last {stream.duration * tick_seconds:.3g} s: its time scale is damaged, remux the file"
    )


def _factor(one: float, other: float) -> float:
    return max(one / other, other / one)

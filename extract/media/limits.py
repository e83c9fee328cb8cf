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
    return None

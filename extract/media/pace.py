"""Whether a stream's timestamps run as fast as its own frames last, and as the sound beside it."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from av.audio.stream import AudioStream

STEPS = 8  # before anything is said
# How many times too short or too long most steps may be. A picture may stay for minutes (slides) or an hour.
SOUND_FACTORS = (1 / 4, 4.0)
PICTURE_FACTORS = (1 / 1000, 100_000.0)
APART_SECONDS = 60.0  # that picture and sound side by side in a file never are: players would hold the minute
APART_FACTOR = 4.0  # and as a share of the time since the start
SOUND_SECONDS = 0.25  # between the packets of sound that are remembered
SILENCE_SECONDS = 10.0  # between two of those: nothing is known of what lies there


class Pace:
    """Counts steps between a stream's packets that have nothing to do with how long a packet lasts.

    A damaged time scale makes each second of the file hours, and each pause a silence to be filled. How
    long a packet of sound lasts is known from its codec (samples a frame, samples a second); of pictures the
    container may say it apart from the timestamps (Matroska's DefaultDuration).
    """

    def __init__(self, stream: Any) -> None:
        self._factors = SOUND_FACTORS if isinstance(stream, AudioStream) else PICTURE_FACTORS
        self._lasts_seconds = 0.0
        if isinstance(stream, AudioStream):
            context = stream.codec_context
            if context.frame_size and context.sample_rate:
                self._lasts_seconds = context.frame_size / context.sample_rate
        elif stream.guessed_rate:
            self._lasts_seconds = float(1 / stream.guessed_rate)
        self._steps = self._wrong = 0
        self._ratio = 1.0

    def step(self, step_seconds: float) -> None:
        """From one packet to the next (NaN before the first)."""
        if self._lasts_seconds and step_seconds > 0:
            ratio = step_seconds / self._lasts_seconds
            self._steps += 1
            if not self._factors[0] < ratio < self._factors[1]:
                self._wrong += 1
                self._ratio = ratio

    @property
    def refusal(self) -> str | None:
        """Why these timestamps cannot be true, or None."""
        if self._steps < STEPS or self._wrong * 4 < self._steps * 3:
            return None
        return (
            f"its timestamps run {self._ratio:.3g} times as long as its frames last: the time scale in its "
            "header is damaged, remux the file"
        )


class Interleaving:
    """Finds pictures timed long after the sound on both sides of them in the file.

    Files are written as they are played: what lies between two packets of sound is shown about when they are
    heard, however rare pictures are. Pictures that are timed a minute later, and more than four times as
    late, at most of the places where both are known, have a damaged time scale. Files with all of
    the sound in one piece tell nothing.
    """

    def __init__(self) -> None:
        self._places: list[int] = []  # bytes from the start of the file, rising
        self._seconds: list[float] = []
        self._compared: set[int] = set()  # gaps between remembered packets of sound
        self._waiting: tuple[int, float] | None = None
        self._late = 0

    def hear(self, place: int, seconds: float) -> None:
        """A packet of sound; times are from the start of the file."""
        if self._places and (place <= self._places[-1] or seconds < self._seconds[-1] + SOUND_SECONDS):
            return
        self._places.append(place)
        self._seconds.append(seconds)
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self.see(*waiting)

    def see(self, place: int, seconds: float) -> None:
        """A packet of pictures."""
        gap = bisect_left(self._places, place)
        if gap == len(self._places):
            self._waiting = self._waiting or (place, seconds)
        elif gap and gap not in self._compared:
            heard_seconds = self._seconds[gap]
            if heard_seconds - self._seconds[gap - 1] <= SILENCE_SECONDS:
                self._compared.add(gap)
                late_seconds = seconds - heard_seconds
                self._late += late_seconds > APART_SECONDS and seconds > APART_FACTOR * heard_seconds

    @property
    def refusal(self) -> str | None:
        """Why these pictures' timestamps cannot be true, or None."""
        if self._late < STEPS or self._late * 4 < len(self._compared) * 3:
            return None
        return (
            "its pictures are timed long after the sound that lies beside them in the file: the time scale "
            "in its header is damaged, remux the file"
        )

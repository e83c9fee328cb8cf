"""Whether a stream's timestamps run as fast as its own frames last."""

from __future__ import annotations

from typing import Any

from av.audio.stream import AudioStream

STEPS = 8  # before anything is said
SOUND_FACTOR = 4.0  # times too long or too short that most steps between packets of sound may be
PICTURE_FACTOR = 1000.0  # a picture may stay; only scales that are wrong by powers of ten are known


class Pace:
    """Counts steps between a stream's packets that have nothing to do with how long a packet lasts.

    A damaged time scale makes each second of the file hours, and each pause a silence to be filled. How
    long a packet of sound lasts is known from its codec (samples a frame, samples a second); of pictures the
    container may say it apart from the timestamps (Matroska's DefaultDuration).
    """

    def __init__(self, stream: Any) -> None:
        self._factor = SOUND_FACTOR if isinstance(stream, AudioStream) else PICTURE_FACTOR
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
            if not 1 / self._factor < ratio < self._factor:
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

"""Whisper's tokens of one window as timed segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SECONDS_PER_TIMESTAMP = 0.02  # Radford et al. 2022, section 2.3: times are quantised to 20 ms


@dataclass(frozen=True)
class Segment:
    """Tokens (timestamps included) spoken from ``start_seconds`` to ``end_seconds`` of the window."""

    start_seconds: float
    end_seconds: float
    tokens: tuple[int, ...]


def split_segments(
    tokens: Sequence[int], *, timestamp_begin: int, window_seconds: float
) -> tuple[list[Segment], float | None]:
    """Cut decoded tokens at pairs of timestamps; say where decoding has to go on.

    The rules are those of openai/whisper, ``transcribe.py``: two timestamps in a row end one
    segment and start the next. Text after the last pair that no timestamp closes is unfinished:
    it is left out, and the second value is the time within the window from which to decode again
    (None if the window is done). Without any pair everything is one segment.

    Args:
        tokens: the decoded tokens without prompt and end of text.
        timestamp_begin: the token of time zero.
        window_seconds: audio in the window, the padding not counted.
    """
    is_time = [token >= timestamp_begin for token in tokens]

    def seconds(token: int) -> float:
        return (token - timestamp_begin) * SECONDS_PER_TIMESTAMP

    cuts = [i for i in range(1, len(tokens)) if is_time[i - 1] and is_time[i]]
    if not cuts:
        times = [seconds(t) for t, timed in zip(tokens, is_time, strict=True) if timed]
        end = times[-1] if times and times[-1] > 0 else window_seconds
        return [Segment(0.0, end, tuple(tokens))], None
    closed = is_time[-2:] == [False, True]  # nothing is spoken after the last timestamp
    if closed:
        cuts.append(len(tokens))
    parts = [tuple(tokens[a:b]) for a, b in zip([0, *cuts], cuts, strict=False)]
    segments = [Segment(seconds(part[0]), seconds(part[-1]), part) for part in parts]
    return segments, None if closed else segments[-1].end_seconds

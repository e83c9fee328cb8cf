"""Tokens to segments, on the cases that openai-whisper's transcribe tells apart."""

from __future__ import annotations

from extract.ops.text.transcript import Segment, split_segments

BEGIN = 1000  # token of time zero


def at(seconds: float) -> int:
    return BEGIN + round(seconds / 0.02)


def split(*tokens: int) -> tuple[list[Segment], float | None]:
    return split_segments(tokens, timestamp_begin=BEGIN, window_seconds=30.0)


def test_pairs_of_timestamps_part_segments_and_a_single_one_ends_the_window() -> None:
    segments, resume = split(at(1), 7, 8, at(3), at(3.5), 9, at(5))
    assert [(s.start_seconds, s.end_seconds) for s in segments] == [(1, 3), (3.5, 5)]
    assert [s.tokens for s in segments] == [(at(1), 7, 8, at(3)), (at(3.5), 9, at(5))]
    assert resume is None


def test_unfinished_text_is_left_for_another_pass() -> None:
    segments, resume = split(at(0), 7, at(2), at(2), 8, 9)
    assert [(s.start_seconds, s.end_seconds) for s in segments] == [(0, 2)]
    assert resume == 2
    assert split(at(0), 7, at(2), at(4))[1] == 2  # and so is silence after a pair


def test_without_a_pair_everything_is_one_segment() -> None:
    assert split(at(0), 7, at(4)) == ([Segment(0, 4, (at(0), 7, at(4)))], None)
    assert split(at(0), 7) == ([Segment(0, 30, (at(0), 7))], None)
    assert split(7) == ([Segment(0, 30, (7,))], None)
    assert split() == ([Segment(0, 30, ())], None)

"""Windows over audio: against plain slicing of the whole signal."""

from __future__ import annotations

import numpy as np
import pytest

from extract.ops.sound.windows import AudioWindows, Window
from extract.types import AudioBlock

RATE = 100


def cut(total: int, window: int, hop: int, *, minimum: int = 1, block: int = 17) -> list[Window]:
    signal = np.arange(1, total + 1, dtype=np.float32)
    windows = AudioWindows(window, hop, sample_rate=RATE, minimum_samples=minimum)
    out: list[Window] = []
    for at in range(0, total, block):
        out += windows.push(AudioBlock(signal[at : at + block], RATE, 5 + at / RATE))
    return out + windows.flush()


@pytest.mark.parametrize("block", [1, 17, 1000])
@pytest.mark.parametrize(
    ("total", "window", "hop"), [(250, 50, 20), (250, 50, 50), (50, 50, 25), (49, 50, 50)]
)
def test_windows_equal_slices_of_the_padded_signal(total: int, window: int, hop: int, block: int) -> None:
    found = cut(total, window, hop, block=block)
    count = max(1, 1 + -(-(total - window) // hop))  # as many as it takes to cover the end
    padded = np.zeros((count - 1) * hop + window, np.float32)
    padded[:total] = np.arange(1, total + 1)
    assert len(found) == count
    for index, each in enumerate(found):
        np.testing.assert_array_equal(each.samples, padded[index * hop : index * hop + window])
        assert each.start_seconds == pytest.approx(5 + index * hop / RATE)
        assert each.end_seconds == pytest.approx(5 + min(total, index * hop + window) / RATE)


def test_a_remainder_too_short_moves_back_to_end_with_the_sound() -> None:
    *_, last = cut(105, 50, 50, minimum=10)
    np.testing.assert_array_equal(last.samples, np.arange(56, 106))
    assert (last.start_seconds, last.end_seconds) == pytest.approx((5.55, 6.05))


def test_a_remainder_too_short_is_padded_where_it_is_all_there_is() -> None:
    (only,) = cut(5, 50, 50, minimum=10)
    assert (only.start_seconds, only.end_seconds) == pytest.approx((5.0, 5.05))
    assert only.samples[:5].tolist() == [1, 2, 3, 4, 5] and not only.samples[5:].any()


def test_a_jump_in_time_ends_the_run_and_starts_another() -> None:
    windows = AudioWindows(50, 50, sample_rate=RATE)
    ones = np.ones(60, np.float32)
    found = (
        windows.push(AudioBlock(ones, RATE, 0.0))
        + windows.push(AudioBlock(ones, RATE, 3.0))
        + windows.flush()
    )
    spans = np.array([(w.start_seconds, w.end_seconds) for w in found])
    np.testing.assert_allclose(spans, [(0.0, 0.5), (0.5, 0.6), (3.0, 3.5), (3.5, 3.6)])


def test_memory_stays_within_a_window_and_a_block() -> None:
    windows = AudioWindows(50, 25, sample_rate=RATE)
    for at in range(0, 100_000, 40):
        windows.push(AudioBlock(np.zeros(40, np.float32), RATE, at / RATE))
        assert len(windows._buffer) <= 50 + 40


@pytest.mark.parametrize(("window", "hop", "minimum"), [(50, 0, 1), (50, 51, 1), (50, 50, 51), (50, 50, 0)])
def test_sizes_are_checked(window: int, hop: int, minimum: int) -> None:
    with pytest.raises(ValueError, match="needed"):
        AudioWindows(window, hop, sample_rate=RATE, minimum_samples=minimum)


def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match=r"48000.*100 Hz"):
        AudioWindows(50, 50, sample_rate=RATE).push(AudioBlock(np.zeros(1, np.float32), 48_000, 0.0))

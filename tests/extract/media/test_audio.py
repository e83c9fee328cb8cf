from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
import scipy.signal
import soxr

from extract.media.audio import AudioTrack, Resampler
from extract.types import AudioBlock, Sound

RATE = 44100


def noise(seconds: float, *, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(5).uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32)


def frame(samples: np.ndarray, start_seconds: float, *, rate: int = RATE) -> av.AudioFrame:
    made = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
    made.sample_rate, made.time_base = rate, Fraction(1, 1000)
    made.pts = round(start_seconds * 1000)
    return made


def run(track: AudioTrack, frames: list[av.AudioFrame]) -> list[AudioBlock]:
    return [block for one in frames for block in track.push(one)] + list(track.finish())


def joined(blocks: list[AudioBlock], rate: int) -> np.ndarray:
    """The samples of one rate, after checking that each block starts where the last one ended."""
    blocks = [block for block in blocks if block.sample_rate == rate]
    for before, after in pairwise(blocks):
        assert after.start_seconds == pytest.approx(before.end_seconds, abs=1e-9)
    return np.concatenate([block.samples for block in blocks])


@pytest.mark.parametrize("rate", [16000, 32000, 22050, 48000])
def test_streamed_resampling_equals_one_shot(rate: int) -> None:
    samples = noise(3.3)
    cuts = np.split(samples, [1, 1000, 1024, 40000, 100001])
    resampler = Resampler(RATE, Sound(rate), start_seconds=2.0)
    blocks = [resampler.push(cut, last=i == len(cuts) - 1) for i, cut in enumerate(cuts)]
    given = [block for block in blocks if block is not None]
    assert given[0].start_seconds == 2.0
    mine = joined(given, rate)
    whole = soxr.resample(samples, RATE, rate, quality="HQ")
    assert len(mine) == len(whole) == round(len(samples) * rate / RATE)
    np.testing.assert_allclose(mine, whole, atol=1e-5)


def test_resampling_agrees_with_scipy_and_keeps_the_place() -> None:
    seconds = np.arange(3 * RATE) / RATE
    samples = np.exp(-(((seconds - 1.5) / 0.001) ** 2)).astype(np.float32)  # one click, at 1.5 s
    mine = joined(run(AudioTrack([Sound(16000)]), [frame(samples, 0.0)]), 16000)
    reference = scipy.signal.resample_poly(samples, 160, 441)
    assert int(mine.argmax()) == 24000
    np.testing.assert_allclose(mine, reference[: len(mine)], atol=2e-3)


def test_its_own_rate_passes_through_untouched() -> None:
    samples = noise(2.5)
    blocks = run(
        AudioTrack([Sound(RATE), Sound(16000)]),
        [frame(part, 100 + i * 0.5) for i, part in enumerate(np.split(samples, 5))],
    )
    assert np.array_equal(joined(blocks, RATE), samples)
    assert len(joined(blocks, 16000)) == 40000
    assert {block.start_seconds for block in blocks} >= {100.0}
    assert max(len(block.samples) / block.sample_rate for block in blocks) < 2.1


@pytest.mark.parametrize("jitter_seconds", [0.0, 0.09, -0.09])
def test_jitter_of_timestamps_changes_nothing(jitter_seconds: float) -> None:
    samples = noise(2.0)
    frames = [frame(samples[:RATE], 0.0), frame(samples[RATE:], 1.0 + jitter_seconds)]
    assert np.array_equal(joined(run(AudioTrack([Sound(RATE)]), frames), RATE), samples)


def test_a_gap_is_silence() -> None:
    samples = noise(2.0)
    frames = [frame(samples[:RATE], 0.0), frame(samples[RATE:], 3.5)]
    mine = joined(run(AudioTrack([Sound(RATE)]), frames), RATE)
    assert len(mine) == round(4.5 * RATE)
    assert np.array_equal(mine[:RATE], samples[:RATE])
    assert not mine[RATE : round(3.5 * RATE)].any()
    assert np.array_equal(mine[round(3.5 * RATE) :], samples[RATE:])


def test_a_long_gap_is_handed_on_in_small_blocks() -> None:
    track = AudioTrack([Sound(8000)])
    blocks = run(track, [frame(noise(0.5), 0.0), frame(noise(0.5), 500.0)])
    assert max(block.samples.nbytes for block in blocks) < 8000 * 4 * 3
    assert blocks[-1].end_seconds == pytest.approx(500.5, abs=1e-3)


def test_an_overlap_is_cut_off() -> None:
    samples = noise(2.0)
    frames = [frame(samples[:RATE], 0.0), frame(samples[RATE:], 0.6)]
    mine = joined(run(AudioTrack([Sound(RATE)]), frames), RATE)
    assert len(mine) == round(1.6 * RATE)
    assert np.array_equal(mine[RATE:], samples[RATE + round(0.4 * RATE) :])


def test_a_track_may_change_its_rate() -> None:
    frames = [frame(noise(1.5), 0.0), frame(noise(1.5, rate=22050), 1.5, rate=22050)]
    blocks = run(AudioTrack([Sound(16000)]), frames)
    assert len(joined(blocks, 16000)) == 48000


def test_no_timestamps_count_from_zero() -> None:
    frames = [frame(noise(1.0), 0.0), frame(noise(1.0), 0.0)]
    for one in frames:
        one.pts = None
    blocks = run(AudioTrack([Sound(RATE)]), frames)
    assert (blocks[0].start_seconds, blocks[-1].end_seconds) == (0.0, 2.0)


def test_an_unused_track_gives_nothing() -> None:
    assert list(AudioTrack([Sound(16000)]).finish()) == []

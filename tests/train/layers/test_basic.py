"""Sums and means over the steps that are there: their values, and that no copy of the steps is made."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.fixtures.batches import pad
from train.layers.basic import StepTokens, TransformerOptions, mean_over_time, weighted_sums

STEPS = (7, 3, 0, 5)
DIM = 64


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """The most values that an operation gave in memory of its own."""

    def __init__(self, given: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.given, self.values = given.untyped_storage().data_ptr(), 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple) else (made,):
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() != self.given:
                self.values = max(self.values, tensor.numel())
        return made


def steps(junk: float = 0.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    padding = pad(STEPS)
    features = torch.randn(*padding.shape, DIM, generator=generator)
    return features.masked_fill(padding.unsqueeze(-1), junk), padding


def test_means_are_those_of_each_video_and_nothing_is_copied() -> None:
    features, padding = steps(junk=float("nan"))
    with Largest(features) as largest:
        means = mean_over_time(features, padding)
    assert largest.values == len(STEPS) * DIM
    for mean, video, count in zip(means, features, STEPS, strict=True):
        expected = video[:count].mean(dim=0) if count else torch.zeros(DIM)
        torch.testing.assert_close(mean, expected)


def test_weighted_sums_are_a_product_of_matrices() -> None:
    features, padding = steps()
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(len(STEPS), 3, padding.shape[1], generator=generator)
    weights = weights * (weights > 0.4) * ~padding.unsqueeze(1)
    features.requires_grad_()
    found, expected = weighted_sums(features, weights), weights @ features
    torch.testing.assert_close(found, expected)
    chosen = torch.rand(found.shape, generator=generator)
    mine, theirs = (torch.autograd.grad((sums * chosen).sum(), features)[0] for sums in (found, expected))
    torch.testing.assert_close(mine, theirs)


def test_padding_is_not_projected() -> None:
    features, padding = steps(junk=float("inf"))
    tokens = StepTokens(DIM, TransformerOptions(width=16, heads=2, dropout=0.0))
    seen: list[int] = []
    tokens.project.register_forward_hook(lambda layer, given, made: seen.append(len(given[0])))
    made = tokens(features, padding)
    assert seen == [sum(STEPS)]
    assert isinstance(tokens.table, nn.Parameter)
    expected = tokens.project(features[0]) + tokens.table[: len(features[0])]
    torch.testing.assert_close(made[0], expected)
    assert not made[padding].any()

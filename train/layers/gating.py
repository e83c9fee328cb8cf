"""Experts that gate each other (Liu et al. 2019, "Use what you have", section 3; Fish et al. 2021, eq. 1).

What expert i is let through is decided by its agreement with every other one:

    T_i = h(mean over j != i of g(x_i, x_j)),    y_i = x_i * sigmoid(T_i)

with the Hadamard product. Fish et al. write the sum; the mean of the public code is that up to a factor, and
does not grow with the number of experts that happen to be there. In that code the gate also sees x_i itself,
y_i = x_i * sigmoid(norm(T_i) + norm(W x_i)), and y_i has unit length. It overwrites the experts one after the
other; here, as in the formula, all are gated from what they were before.

Everything works on rows that are there: an absent expert is no row, so it has no influence, in the batch's
statistics neither.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Literal["relu", "mish"]


class RowNorm(nn.BatchNorm1d):
    """Batch normalisation of (rows, width); fewer than two rows go by the running statistics."""

    def forward(self, rows: Tensor) -> Tensor:
        if self.training and len(rows) < 2:
            return functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        normal: Tensor = super().forward(rows)
        return normal


class GatingUnit(nn.Module):
    """One expert's rows and what the others make of them to gated rows of unit length."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = nn.Linear(width, width)
        self.norm_attention = RowNorm(width)
        self.norm_look = RowNorm(width)

    def forward(self, rows: Tensor, attention: Tensor) -> Tensor:
        """(rows, width) twice to (rows, width)."""
        gate = self.norm_attention(attention) + self.norm_look(self.look(rows))
        return functional.normalize(rows * gate.sigmoid(), dim=1)


class CollaborativeGating(nn.Module):
    """``g_layers`` (1 or more) and ``h_layers`` linear layers in g and h, which all experts share.

    ``include_self``: the mean is over j = i too, as in some of the public code's settings.
    """

    def __init__(
        self,
        experts: int,
        width: int,
        *,
        g_layers: int = 2,
        h_layers: int = 1,
        activation: Activation = "relu",
        batch_norm: bool = False,
        include_self: bool = False,
    ) -> None:
        super().__init__()
        # The first layer of g, over (x_i, x_j) side by side: a sum of a layer over each.
        self.mine = nn.Linear(width, width)
        self.other = nn.Linear(width, width, bias=False)
        self.g = _layers(g_layers - 1, width, activation, batch_norm=batch_norm)
        self.h = _layers(h_layers, width, activation, batch_norm=batch_norm)
        self.units = nn.ModuleList(GatingUnit(width) for _ in range(experts))
        self.register_buffer("partners", torch.eye(experts).logical_not() | include_self, persistent=False)

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """(rows, experts, width) gated, zero where ``present`` (rows, experts) is False."""
        attention = spread(self.h(self._opinions(vectors, present)[present]), present)
        gated = []
        for expert, unit in enumerate(self.units):
            there = present[:, expert]
            gated.append(spread(unit(vectors[there, expert], attention[there, expert]), there))
        return torch.stack(gated, dim=1)

    def _opinions(self, vectors: Tensor, present: Tensor) -> Tensor:
        """Mean of g over each expert's partners, (rows, experts, width); of none, zero."""
        rows, experts, width = vectors.shape
        assert isinstance(self.partners, Tensor)
        pairs = present.unsqueeze(2) & present.unsqueeze(1) & self.partners
        row, mine, other = pairs.nonzero(as_tuple=True)
        opinions = self.g(self.mine(vectors)[row, mine] + self.other(vectors)[row, other])
        total = opinions.new_zeros(rows * experts, width).index_add(0, row * experts + mine, opinions)
        mean: Tensor = total.view(vectors.shape) / pairs.sum(dim=2, keepdim=True).clamp(min=1)
        return mean


class GatedEmbedding(nn.Module):
    """The gated embedding unit of Miech, Laptev and Sivic 2018, section 3.2: of unit length."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, width)
        self.gate = nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        """(rows, inputs) to (rows, width)."""
        projected = self.project(rows)
        return functional.normalize(projected * self.gate(projected).sigmoid(), dim=1)


def spread(values: Tensor, there: Tensor) -> Tensor:
    """``values`` (rows, width) where ``there`` is True, else zeros: (*there, width)."""
    return values.new_zeros(*there.shape, values.shape[1]).masked_scatter(there.unsqueeze(-1), values)


def _layers(count: int, width: int, activation: Activation, *, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(count):
        layers += [RowNorm(width)] if batch_norm else []
        layers += [nn.ReLU() if activation == "relu" else nn.Mish(), nn.Linear(width, width)]
    return nn.Sequential(*layers)

"""A network for each modality of a movie, and one layer over what they say (LeBaron).

The networks of posters, trailers, texts and metadata share nothing. Each has a loss of its own and is kept as
it was in its own best epoch, so they are trained at once as they would be one by one. docs/results.md names
what the paper leaves open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parameters_to_vector

from train.evaluation.metrics import average_precision
from train.layers.basic import check_dropout, mean_over_time
from train.loading.batch import Batch
from train.model import GenreModel, genre_loss

Kind = Literal["poster", "trailer", "text", "metadata"]


@dataclass(frozen=True)
class EnsembleOptions:
    """Which tables are which modality, and the networks' hidden layers.

    Attributes:
        posters, texts, metadata: names of tables; all others are of trailers.
        poster_width, trailer_width, text_width, metadata_width: of the hidden layer; 0: none.
        dropout: before each layer of a network.
        ridge: how strongly the layer over the networks is held to their average, see :meth:`Ensemble.settle`.
    """

    posters: tuple[str, ...] = ("poster",)
    texts: tuple[str, ...] = ("words", "sentence")
    metadata: tuple[str, ...] = ("metadata",)
    poster_width: int = 1000
    trailer_width: int = 1000
    text_width: int = 50
    metadata_width: int = 100
    dropout: float = 0.5
    ridge: float = 1.0

    def __post_init__(self) -> None:
        for name in ("poster_width", "trailer_width", "text_width", "metadata_width", "ridge"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; 0 or more is needed")
        check_dropout(self.dropout)

    def kind(self, table: str) -> Kind:
        """The modality of a table."""
        if table in self.posters:
            return "poster"
        return "text" if table in self.texts else "metadata" if table in self.metadata else "trailer"


class Ensemble(GenreModel):
    """Each table is averaged over time and has a network; one layer stacks the networks' logits.

    The scores of a video that lacks a table are learned numbers, one for each genre, whatever stands in the
    table's place, and the video has no part in the loss of the table's network. The layer begins as the
    average of the networks and learns beside them from what they say of the training split; that tells when
    to stop. Then it is refitted on the validation split, which no network has learned by heart.
    """

    summary = "a network each for poster, trailer, text and metadata, stacked by one layer"
    Options = EnsembleOptions
    uses_order = False
    best: Tensor

    def __init__(self, inputs: Mapping[str, int], genres: int, options: EnsembleOptions) -> None:
        super().__init__(inputs, genres, options)
        self.networks = nn.ModuleList(
            _network(dim, getattr(options, f"{options.kind(table)}_width"), genres, options.dropout)
            for table, dim in inputs.items()
        )
        self.absent = nn.Parameter(torch.zeros(len(inputs), genres))
        self.stack = nn.Linear(len(inputs) * genres, genres)
        with torch.no_grad():
            self.stack.weight.copy_(self._average())
            self.stack.bias.zero_()
        # Of each network its best validation so far, and its weights then.
        self.register_buffer("best", torch.full((len(inputs),), -math.inf))
        for i, network in enumerate(self.networks):
            self.register_buffer(f"kept_{i}", parameters_to_vector(network.parameters()).detach())
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def embed(self, batch: Batch) -> Tensor:
        """The networks' logits, (batch, networks * genres)."""
        return self._known(self._scores(batch), batch)

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.stack(self.embed(batch))
        return logits

    def loss(self, batch: Batch, positive_weights: Tensor) -> Tensor:
        """The losses of the networks, each over the videos that have its table, and of the stacking layer."""
        labels = batch.labels
        assert labels is not None
        scores = self._scores(batch)
        total = genre_loss(self.stack(self._known(scores.detach(), batch)), labels, positive_weights)
        for i, table in enumerate(self.inputs):
            present = batch.present[table].unsqueeze(1)
            each = functional.binary_cross_entropy_with_logits(
                scores[:, i].float(), labels, pos_weight=positive_weights, reduction="none"
            )
            total = total + (each * present).sum() / (present.sum().clamp(min=1) * self.genres)
        return total

    def watch(self, batch: Batch) -> None:
        assert batch.labels is not None
        seen = (self._scores(batch), self._present(batch), batch.labels > 0)
        self._seen.append((seen[0].cpu(), seen[1].cpu(), seen[2].cpu()))

    def watched(self) -> None:
        """Keep the weights of each network whose average precision was never as high."""
        scores, present, labels = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        for i, network in enumerate(self.networks):
            known = present[:, i]
            reached = average_precision(labels[known], scores[known, i].float()) if known.any() else 0.0
            if reached > self.best[i]:
                self.best[i] = reached
                self.get_buffer(f"kept_{i}").copy_(parameters_to_vector(network.parameters()))

    def settle(self, validation: Iterable[Batch]) -> None:
        """Give the networks their best weights, and fit the layer over them.

        What is minimised is the binary cross-entropy, summed over videos and genres, plus half of ``ridge``
        times the squared distance of the layer's weights from the average of the networks.
        """
        for i, network in enumerate(self.networks):
            _restore(network, self.get_buffer(f"kept_{i}"))
        with torch.no_grad():
            seen = [(self.embed(batch), batch.labels) for batch in validation]
        scores = torch.cat([scores for scores, _ in seen]).double()
        labels = torch.cat([labels for _, labels in seen if labels is not None]).double()
        average = self._average().to(scores)
        weight, bias = average.clone().requires_grad_(), torch.zeros_like(labels[0]).requires_grad_()
        solver = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

        def objective() -> float:
            solver.zero_grad()
            logits = functional.linear(scores, weight, bias)
            cost = functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
            cost = cost + self.options.ridge / 2 * (weight - average).square().sum()
            cost.backward()
            return float(cost.detach())

        solver.step(objective)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.stack.weight.copy_(weight)
            self.stack.bias.copy_(bias)

    def _scores(self, batch: Batch) -> Tensor:
        """Each network's logits, (batch, networks, genres); of an absent table they are those of zeros."""
        means = (mean_over_time(batch.features[table], batch.padding[table]) for table in self.inputs)
        return torch.stack([network(mean) for network, mean in zip(self.networks, means, strict=True)], dim=1)

    def _known(self, scores: Tensor, batch: Batch) -> Tensor:
        """(batch, networks * genres) with the learned numbers in place of the logits of absent tables."""
        present = self._present(batch).unsqueeze(-1)
        return torch.where(present, scores, self.absent).flatten(start_dim=1)

    def _present(self, batch: Batch) -> Tensor:
        """(batch, networks)."""
        return torch.stack([batch.present[table] for table in self.inputs], dim=1)

    def _average(self) -> Tensor:
        """The stacking layer's weights that average the networks, (genres, networks * genres)."""
        return torch.eye(self.genres).repeat(1, len(self.inputs)) / len(self.inputs)


def _network(dim: int, width: int, genres: int, dropout: float) -> nn.Sequential:
    hidden = [nn.Dropout(dropout), nn.Linear(dim, width), nn.ReLU()] if width else []
    return nn.Sequential(*hidden, nn.Dropout(dropout), nn.Linear(width or dim, genres))


@torch.no_grad()
def _restore(network: nn.Module, kept: Tensor) -> None:
    """Give a network the weights of ``parameters_to_vector``."""
    first = 0
    for weight in network.parameters():
        weight.copy_(kept[first : first + weight.numel()].view_as(weight))
        first += weight.numel()

"""A network for each modality of a movie, and one layer over what they say (LeBaron).

The networks of posters, trailers, texts and metadata share nothing. Each has a loss of its own and is kept
as it was in the epoch of its lowest validation loss, so they are trained at once as they would be one by one.
All losses have the positive weights, that of the layer over the networks too: without them the common genres
are picked most of the time (the paper's section 5). docs/results.md names what the paper leaves open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parameters_to_vector

from train.layers.basic import check_dropout, mean_over_time
from train.loading.batch import Batch
from train.model import GenreModel, genre_loss

Kind = Literal["poster", "trailer", "text", "metadata"]


@dataclass(frozen=True)
class EnsembleOptions:
    """Which tables are which modality, and the networks' hidden layers.

    Attributes:
        posters, texts, metadata: names of tables; all others are of trailers.
        poster_width, trailer_width, text_width, metadata_width: of the hidden layers; 0: none.
        metadata_layers: of the network of metadata, the last one included; the others have two.
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
    metadata_layers: int = 4
    dropout: float = 0.5
    ridge: float = 1.0

    def __post_init__(self) -> None:
        for name in ("poster_width", "trailer_width", "text_width", "metadata_width", "ridge"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; 0 or more is needed")
        if self.metadata_layers < 1:
            raise ValueError(f"metadata_layers is {self.metadata_layers}; at least 1 is needed")
        check_dropout(self.dropout)

    def kind(self, table: str) -> Kind:
        """The modality of a table."""
        if table in self.posters:
            return "poster"
        return "text" if table in self.texts else "metadata" if table in self.metadata else "trailer"

    def hidden(self, table: str) -> list[int]:
        """Widths of the hidden layers of a table's network."""
        kind = self.kind(table)
        width: int = getattr(self, f"{kind}_width")
        layers = self.metadata_layers - 1 if kind == "metadata" else 1
        return [width] * layers if width else []


class Ensemble(GenreModel):
    """Each table is averaged over time and has a network; one layer stacks the networks' logits.

    The scores of a video that lacks a table are learned numbers, one for each genre, whatever stands in the
    table's place, and the video has no part in the loss of the table's network. The layer begins as the
    average of the networks and learns beside them from what they say of the training split, for the figures
    of an epoch. Training ends when no network improves. Then the layer is refitted on the validation
    split, which no network has learned by heart.
    """

    summary = "a network each for poster, trailer, text and metadata, stacked by one layer"
    Options = EnsembleOptions
    uses_order = False
    best: Tensor

    def __init__(self, inputs: Mapping[str, int], genres: int, options: EnsembleOptions) -> None:
        super().__init__(inputs, genres, options)
        self.networks = nn.ModuleList(
            _network([dim, *options.hidden(table)], genres, options.dropout) for table, dim in inputs.items()
        )
        self.absent = nn.Parameter(torch.zeros(len(inputs), genres))
        self.stack = nn.Linear(len(inputs) * genres, genres)
        with torch.no_grad():
            self.stack.weight.copy_(self._average())
            self.stack.bias.zero_()
        # Of each network its lowest validation loss so far, and its weights then.
        self.register_buffer("best", torch.full((len(inputs),), math.inf))
        for i, network in enumerate(self.networks):
            self.register_buffer(f"kept_{i}", parameters_to_vector(network.parameters()).detach())
        self._losses: list[tuple[Tensor, Tensor]] = []  # of each network, summed over videos; and how many

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
        stacked = genre_loss(self.stack(self._known(scores.detach(), batch)), labels, positive_weights)
        losses, videos = self._losses_of(scores, batch, positive_weights)
        return stacked + (losses / videos.clamp(min=1)).sum()

    def watch(self, batch: Batch, positive_weights: Tensor) -> None:
        self._losses.append(self._losses_of(self._scores(batch), batch, positive_weights))

    def watched(self) -> Tensor:
        """Keep the weights of each network whose validation loss was never as low; the sum of the lowest."""
        losses, videos = (torch.stack(parts).sum(dim=0) for parts in zip(*self._losses, strict=True))
        self._losses.clear()
        for i, (network, loss) in enumerate(zip(self.networks, losses / videos.clamp(min=1), strict=True)):
            if loss < self.best[i]:
                self.best[i] = loss
                self.get_buffer(f"kept_{i}").copy_(parameters_to_vector(network.parameters()))
        return self.best.sum()

    def settle(self, validation: Iterable[Batch], positive_weights: Tensor) -> None:
        """Give the networks their best weights, and fit the layer over them.

        What is minimised is the weighted binary cross-entropy, summed over videos and genres, plus half of
        ``ridge`` times the squared distance of the layer's weights from the average of the networks.
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
            cost = functional.binary_cross_entropy_with_logits(
                logits, labels, pos_weight=positive_weights.double(), reduction="sum"
            )
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

    def _losses_of(self, scores: Tensor, batch: Batch, positive_weights: Tensor) -> tuple[Tensor, Tensor]:
        """Each network's loss, summed over the videos that have its table, and their number; (networks,)."""
        assert batch.labels is not None
        present = self._present(batch)
        labels = batch.labels.unsqueeze(1).expand_as(scores)
        each = functional.binary_cross_entropy_with_logits(
            scores.float(), labels, pos_weight=positive_weights, reduction="none"
        )
        return (each.mean(dim=2) * present).sum(dim=0), present.sum(dim=0)

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


def _network(widths: Sequence[int], genres: int, dropout: float) -> nn.Sequential:
    """From ``widths[0]`` numbers through hidden layers of the other widths to ``genres``."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Dropout(dropout), nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(widths[-1], genres))


@torch.no_grad()
def _restore(network: nn.Module, kept: Tensor) -> None:
    """Give a network the weights of ``parameters_to_vector``."""
    first = 0
    for weight in network.parameters():
        weight.copy_(kept[first : first + weight.numel()].view_as(weight))
        first += weight.numel()

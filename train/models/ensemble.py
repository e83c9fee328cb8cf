"""A network for each modality of a movie, and one layer over what they say (LeBaron).

The networks of posters, trailers, texts and metadata share nothing, and each is trained alone. Then the layer
over them is fitted on the validation split, which no network has learned by heart. All losses have the
positive weights, that of the layer too: without them the common genres are picked most of the time (the
paper's section 5). docs/results.md names what the paper leaves open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.layers.basic import check_dropout
from train.loading.batch import Batch
from train.model import GenreModel
from train.models.mlp import Mlp, MlpOptions

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

    def network(self, table: str) -> MlpOptions:
        """Those of a table's network."""
        kind = self.kind(table)
        width: int = getattr(self, f"{kind}_width")
        hidden = self.metadata_layers - 1 if kind == "metadata" else 1
        return MlpOptions(max(width, 1), hidden if width else 0, self.dropout)


class Ensemble(GenreModel):
    """One layer stacks the networks' logits. It begins as their average and learns nothing by gradient steps.

    Each network is :class:`train.models.mlp.Mlp`: of a table that a video lacks it sees zeros.
    """

    summary = "a network each for poster, trailer, text and metadata, stacked by one layer"
    Options = EnsembleOptions
    uses_order = False

    def __init__(self, inputs: Mapping[str, int], genres: int, options: EnsembleOptions) -> None:
        super().__init__(inputs, genres, options)
        self.networks: Any = nn.ModuleList(
            Mlp({table: dim}, genres, options.network(table)) for table, dim in inputs.items()
        )
        self.stack = nn.Linear(len(inputs) * genres, genres).requires_grad_(False)
        self.stack.weight.copy_(self._average())
        self.stack.bias.zero_()

    def independent_networks(self) -> Mapping[str, GenreModel]:
        return dict(zip(self.inputs, self.networks, strict=True))

    def embed(self, batch: Batch) -> Tensor:
        """The networks' logits, (batch, networks * genres)."""
        return torch.cat([network(batch) for network in self.networks], dim=1)

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.stack(self.embed(batch))
        return logits

    def settle(self, validation: Iterable[Batch], positive_weights: Tensor) -> None:
        """Fit the layer over the networks.

        What is minimised is the weighted binary cross-entropy, summed over videos and genres, plus half of
        ``ridge`` times the squared distance of the layer's weights from the average of the networks.
        """
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

    def _average(self) -> Tensor:
        """The stacking layer's weights that average the networks, (genres, networks * genres)."""
        return torch.eye(self.genres).repeat(1, len(self.inputs)) / len(self.inputs)

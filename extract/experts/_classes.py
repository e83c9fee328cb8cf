"""What a network's own last layer says, for people to read: the likeliest classes beside the vector.

The layer is in the published file, whose vector is what it reads. It is kept where classes are asked for, and
the vector has the same bits with and without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Expert, Model, Resources, TableSpec
from extract.ops.network.staged import Stacked, StagedModel
from extract.types import Column, Item, Row

if TYPE_CHECKING:
    import torch

MOST = 100


@dataclass(frozen=True, kw_only=True)
class ClassOptions:
    """``classes``: how many of the network's own classes are stored beside the vector; 0: none."""

    classes: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.classes <= MOST:
            raise ValueError(f"classes is {self.classes}; allowed: 0 to {MOST}")


class WithClasses(Expert):
    """An expert whose published file ends in a layer that names classes, and whose options are ClassOptions.

    Stands before the class that computes the vector. A subclass has :meth:`class_names`, and its network ends
    in :meth:`last`. ``exclusive``: scores are the softmax of all outputs, else each output's sigmoid.
    """

    exclusive: ClassVar[bool] = True

    def class_names(self) -> Sequence[str]:
        """In the order of the layer's outputs."""
        raise NotImplementedError

    def last(self, layer: torch.nn.Module) -> torch.nn.Module:
        """What stands in for the file's last layer, of which the vector is the input."""
        from torch.nn import Identity

        from extract.nets.class_head import BesideItsInput

        return BesideItsInput(layer) if self.options.classes else Identity()

    def settings(self) -> dict[str, Any]:
        """Rows without classes keep the fingerprint of versions that knew none."""
        found = super().settings()
        return found if self.options.classes else {k: v for k, v in found.items() if k != "classes"}

    def tables(self) -> Mapping[str, TableSpec]:
        if not self.options.classes:
            return super().tables()
        scores = "softmax over all classes" if self.exclusive else "sigmoid of each by itself"
        columns = (
            Column("classes", "list<string>", "what the network's own last layer names, the likeliest first"),
            Column("class_scores", "list<float32>", f"how likely it finds each of them, 0 to 1: {scores}"),
        )
        return {
            name: replace(spec, columns=(*spec.columns, *columns)) for name, spec in super().tables().items()
        }

    def load(self, resources: Resources) -> Model:
        model = super().load(resources)
        if not self.options.classes:
            return model
        assert isinstance(model, StagedModel)
        return ClassReader(model, self.class_names(), self.options.classes, exclusive=self.exclusive)


class ClassReader(StagedModel):
    """A model whose vectors end in a head's outputs: takes them off, and names the highest."""

    def __init__(self, model: StagedModel, names: Sequence[str], most: int, *, exclusive: bool) -> None:
        self._model, self._names, self._most, self._exclusive = model, names, most, exclusive
        self.resources = model.resources

    @property
    def items_at_once(self) -> int:
        return self._model.items_at_once

    def stack(self, items: Sequence[Item]) -> Stacked:
        return self._model.stack(items)

    def compute(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        return self._model.compute(inputs)

    def rows(self, items: Sequence[Item], values: NDArray[np.floating]) -> list[list[Row]]:
        return [[self._read(row) for row in mine] for mine in self._model.rows(items, values)]

    def _read(self, row: Row) -> Row:
        vector, outputs = np.split(row["embedding"], [-len(self._names)])
        scores = likelihoods(outputs, exclusive=self._exclusive)
        best = np.argsort(-scores, kind="stable")[: self._most]
        found = {"classes": [self._names[place] for place in best], "class_scores": scores[best].tolist()}
        return {**row, **found, "embedding": vector}


def likelihoods(outputs: NDArray[np.floating], *, exclusive: bool) -> NDArray[np.float64]:
    """(classes,) of a head, before softmax or sigmoid -> (classes,) from 0 to 1."""
    wide = outputs.astype(np.float64)
    if exclusive:
        shares = np.exp(wide - wide.max())
        return np.asarray(shares / shares.sum())
    return np.asarray(0.5 * (1 + np.tanh(wide / 2)))  # 1 / (1 + exp(-x)), which overflows


def imagenet() -> Sequence[str]:
    """The 1000 classes of ILSVRC 2012, by the names that torchvision gives them."""
    from torchvision.models import ResNet18_Weights

    names: Sequence[str] = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    return names


@cache
def labels(name: str) -> Sequence[str]:
    """The lines of ``labels/NAME.txt``, without its comments."""
    lines = (files("extract.experts") / "labels" / f"{name}.txt").read_text("utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))

"""What a model is: one file in ``train/models``, one subclass of :class:`Model`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from train.batch import Batch


@dataclass(frozen=True)
class NoOptions:
    """For a model that has nothing to choose."""


class Model(nn.Module, ABC):
    """A network from the features of some experts to one logit for each genre.

    What every model promises, and one test holds for all of them: the logits of a video depend on its
    own present steps alone. Padded steps and absent experts have no influence, whatever stands in
    their place; neither have the other videos of the batch, nor how far it is padded.

    Attributes:
        summary: one line for listings.
        Options: a frozen dataclass that checks itself and raises ValueError; every option that changes
            the network is in it.
    """

    summary: ClassVar[str]
    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, inputs: Mapping[str, int], genres: int, options: Any) -> None:
        """``inputs``: expert -> length of its vectors, in the order in which the model takes them.

        A model that cannot work with these experts raises UsageError and says which it needs.
        """
        super().__init__()
        self.inputs = dict(inputs)
        self.genres = genres
        self.options = options

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Logits, (batch, genres)."""

    def embed(self, batch: Batch) -> Tensor:
        """One vector for each video, (batch, width): what the last layers see. For retrieval and maps."""
        raise NotImplementedError(f"{type(self).__name__} gives no vectors")

"""Models that see a video as sequences of clips: what the fine-grained stage needs of a model."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from train.loading.batch import Batch
from train.model import GenreModel


class SequencedModel(GenreModel):
    """A video is some sequences, each a vector; pooled, they are its vector, which ``head`` classifies.

    Attributes:
        head: all layers after that vector.
    """

    head: nn.Module

    @abstractmethod
    def sequences(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Vectors (batch, sequences, width), zero where (batch, sequences) says that there is none."""

    @abstractmethod
    def pool(self, sequences: Tensor) -> Tensor:
        """(batch, sequences, width) to (batch, bottleneck); a sequence of zeros is none."""

    @property
    @abstractmethod
    def bottleneck(self) -> int:
        """Length of a video's vector."""

    def embed(self, batch: Batch) -> Tensor:
        return self.pool(self.sequences(batch)[0])

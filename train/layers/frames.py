"""What models of one visual expert share: its frames in the order of time, in one crop each or in ten."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from extract.errors import UsageError
from train.layers.basic import token, without_padding
from train.layers.ctt import averaged
from train.loading.batch import Batch
from train.model import GenreModel


class FrameModel(GenreModel):
    """A vector of each video out of its frames, and a head that makes genres of it.

    ``options.crops`` is how many rows each picture has, one for each crop, one after the other (the expert
    ``resnet152`` with ``crops=ten`` writes ten). In training a video is seen in one crop, drawn each time.
    Otherwise it is seen in every crop, and the predictions are averaged: the 10-crop test of Wehrmann and
    Barros 2017. A video of fewer frames than ``options.padded`` is followed by frames of zeros, which count
    as frames; a learned vector stands for one without any.
    """

    suits: ClassVar[Mapping[str, int] | None] = {"resnet152": 2048}
    head: nn.Module  # (..., width) to (..., genres)

    def __init__(self, inputs: Mapping[str, int], genres: int, options: Any, *, width: int) -> None:
        super().__init__(inputs, genres, options)
        self.expert = one_expert(type(self).__name__.lower(), inputs, "resnet152")
        self.crops: int = options.crops
        self.padded: int = options.padded
        self.absent = token(width)

    @abstractmethod
    def encode(self, features: Tensor, padding: Tensor) -> Tensor:
        """(batch, time, dim) and (batch, time) to (batch, width); what it gives without steps is not used."""

    def vectors(self, batch: Batch) -> Tensor:
        """(batch, crops, width), one crop in training."""
        features, padding = batch.features[self.expert], batch.padding[self.expert]
        features, padding = by_crop(features, padding, self.crops)
        if self.training and self.crops > 1:
            rows = torch.arange(len(batch), device=features.device)
            drawn = torch.randint(self.crops, (len(batch),), device=features.device)
            features, padding = features[rows, drawn].unsqueeze(1), padding[rows, drawn].unsqueeze(1)
        features, padding = features.flatten(0, 1), padding.flatten(0, 1)
        empty = padding.all(dim=1, keepdim=True)
        found = self.encode(*zero_padded(features, padding, self.padded))
        whole = torch.where(empty, self.absent.to(found), found)
        return whole.reshape(len(batch), -1, whole.shape[1])

    def embed(self, batch: Batch) -> Tensor:
        return self.vectors(batch).mean(dim=1)

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.vectors(batch))
        parts = logits.shape[1]
        return logits[:, 0] if parts == 1 else averaged(logits, logits.new_full((parts,), 1 / parts))


def one_expert(model: str, inputs: Mapping[str, int], such_as: str) -> str:
    """The only one of ``inputs``. Raises UsageError."""
    if len(inputs) != 1:
        raise UsageError(
            f"model {model!r} needs exactly one expert, such as {such_as}, but got "
            f"{', '.join(inputs) or 'none'}: name one with --experts"
        )
    return next(iter(inputs))


@dataclass(frozen=True)
class FrameOptions:
    """``crops`` and ``padded``: see :class:`FrameModel`."""

    crops: int = 1
    padded: int = 0

    def __post_init__(self) -> None:
        if self.crops < 1:
            raise ValueError(f"crops is {self.crops}; at least 1 is needed")
        if self.padded < 0:
            raise ValueError(f"padded is {self.padded}; 0 or more is needed")


def zero_padded(features: Tensor, padding: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """(batch, time, dim) and (batch, time), zeros in place of padding, which up to ``steps`` is none."""
    missing = max(0, steps - features.shape[1])
    features = nn.functional.pad(without_padding(features, padding), (0, 0, 0, missing))
    padding = nn.functional.pad(padding, (0, missing), value=True)
    return features, padding & (torch.arange(padding.shape[1], device=padding.device) >= steps)


def by_crop(features: Tensor, padding: Tensor, crops: int) -> tuple[Tensor, Tensor]:
    """Rows of pictures, (batch, time, dim) and (batch, time), as a sequence for each crop.

    (batch, crops, pictures, dim) and (batch, crops, pictures); a picture that lacks a crop is left out.
    """
    pictures = max(1, features.shape[1] // crops)
    missing = crops - features.shape[1]
    if missing > 0:
        features = nn.functional.pad(features, (0, 0, 0, missing))
        padding = nn.functional.pad(padding, (0, missing), value=True)
    features, padding = features[:, : pictures * crops], padding[:, : pictures * crops]
    shape = (len(features), pictures, crops)
    hidden = padding.reshape(shape).any(dim=2, keepdim=True).expand(shape)
    return features.reshape(*shape, features.shape[2]).transpose(1, 2), hidden.transpose(1, 2)

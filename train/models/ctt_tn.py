"""The two networks of Wehrmann and Barros 2017, frames and sound, fused by their predictions (CTT-MMC-TN).

Section 3.4: the networks are trained independently, so each has its own best epoch and its own end. The
prediction is 0.6 of that of the frames and 0.4 of that of the sound, or what does best on the validation
split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from extract.errors import UsageError
from train.evaluation.metrics import average_precision
from train.layers.ctt import averaged
from train.loading.batch import Batch
from train.model import GenreModel
from train.models.ctt import Ctt, CttFrameOptions
from train.models.ctt_s import CttS, CttSOptions

T = TypeVar("T")
SHARES = 20  # the shares that are tried: 0, 1/20, ..., 1


@dataclass(frozen=True)
class CttTnOptions(CttFrameOptions, CttSOptions):
    """The options of both networks.

    Attributes:
        sound: the expert of the sound; the other one is that of the frames.
        share: of the frames' prediction, before it is searched.
        search: whether to search it when training is over.
    """

    sound: str = "spectrogram"
    share: float = 0.6
    search: bool = True

    def __post_init__(self) -> None:
        CttFrameOptions.__post_init__(self)
        CttSOptions.__post_init__(self)
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share}; one from 0 to 1 is needed")

    def part(self, cls: type[T]) -> T:
        """Those of one network."""
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        return cls(**{name: getattr(self, name) for name in names})


class CttTn(GenreModel):
    """``share`` is a buffer: how much the frames' prediction counts."""

    summary = "ctt over frames and ctt-s over sound, their predictions fused"
    Options = CttTnOptions
    suits: ClassVar[Mapping[str, int] | None] = {**(Ctt.suits or {}), **(CttS.suits or {})}
    share: Tensor

    def __init__(self, inputs: Mapping[str, int], genres: int, options: CttTnOptions) -> None:
        super().__init__(inputs, genres, options)
        frames = [expert for expert in inputs if expert != options.sound]
        if len(inputs) != 2 or len(frames) != 1:
            raise UsageError(
                f"model 'ctt-tn' needs {options.sound} and one visual expert, but got {', '.join(inputs)}: "
                f"name them, as in --experts resnet152,{options.sound}"
            )
        self.frames = Ctt({frames[0]: inputs[frames[0]]}, genres, options.part(CttFrameOptions))
        self.sound = CttS({options.sound: inputs[options.sound]}, genres, options.part(CttSOptions))
        self.register_buffer("share", torch.tensor(options.share))

    def embed(self, batch: Batch) -> Tensor:
        return torch.cat([self.frames.embed(batch), self.sound.embed(batch)], dim=1)

    def forward(self, batch: Batch) -> Tensor:
        logits = torch.stack([self.frames(batch), self.sound(batch)], dim=1)
        return averaged(logits, torch.stack([self.share, 1 - self.share]))

    def independent_networks(self) -> Mapping[str, GenreModel]:
        return {"frames": self.frames, "sound": self.sound}

    @torch.no_grad()
    def settle(self, validation: Iterable[Batch], positive_weights: Tensor) -> None:
        """The share with the highest micro-averaged average precision, which is the paper's figure for all
        else that it chooses in validation; of equal ones the nearest to the one that was given.
        """
        if not self.options.search:
            return
        found = [(self.frames(b).sigmoid(), self.sound(b).sigmoid(), b.labels) for b in validation]
        frames, sound, labels = (torch.cat(part).double().cpu().numpy() for part in zip(*found, strict=True))
        best = max(
            np.linspace(0, 1, SHARES + 1),
            key=lambda share: (
                average_precision(labels > 0, share * frames + (1 - share) * sound, average="micro"),
                -abs(share - self.options.share),
            ),
        )
        self.share.fill_(float(best))

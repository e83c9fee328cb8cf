"""Convolutions through time over the frames of one visual expert (Wehrmann and Barros 2017, CTT-MMC).

Heads A, B and C are the paper's CTT-MMC-A, -B and -C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from train.layers.ctt import ConvolutionThroughTime, CttOptions, make_head
from train.layers.frames import FrameModel, FrameOptions


@dataclass(frozen=True)
class CttFrameOptions(FrameOptions, CttOptions):
    """The module's and the frames'."""

    def __post_init__(self) -> None:
        FrameOptions.__post_init__(self)
        CttOptions.__post_init__(self)


class Ctt(FrameModel):
    """What some frames in a row show counts once, wherever in the video they are."""

    summary = "convolutions through time over one expert's frames, head A, B or C (Maxout)"
    Options = CttFrameOptions

    def __init__(self, inputs: Mapping[str, int], genres: int, options: CttFrameOptions) -> None:
        super().__init__(inputs, genres, options, width=options.filters)
        self.module = ConvolutionThroughTime(self.inputs[self.expert], options)
        self.head = make_head(options, genres)

    def encode(self, features: Tensor, padding: Tensor) -> Tensor:
        found: Tensor = self.module(features, padding)
        return found

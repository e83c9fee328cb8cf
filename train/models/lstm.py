"""An LSTM over the frames of one visual expert, the recurrent baseline of Wehrmann and Barros 2017."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from train.layers.basic import check_dropout, without_padding
from train.layers.frames import FrameModel, FrameOptions


@dataclass(frozen=True)
class LstmOptions(FrameOptions):
    """``units`` of the LSTM; ``dropout`` before the last layer."""

    units: int = 256
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.units < 1:
            raise ValueError(f"units is {self.units}; at least 1 is needed")
        check_dropout(self.dropout)
        super().__post_init__()


class Lstm(FrameModel):
    """A video is the state after its last frame, one of ``padded`` zeros included."""

    summary = "an LSTM over one expert's frames"
    Options = LstmOptions

    def __init__(self, inputs: Mapping[str, int], genres: int, options: LstmOptions) -> None:
        super().__init__(inputs, genres, options, width=options.units)
        self.lstm = nn.LSTM(self.inputs[self.expert], options.units, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(options.units, genres))

    def encode(self, features: Tensor, padding: Tensor) -> Tensor:
        states: Tensor = self.lstm(without_padding(features, padding))[0]
        last = ((~padding).sum(dim=1) - 1).clamp(min=0)
        return states[torch.arange(len(states), device=states.device), last]

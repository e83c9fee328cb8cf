"""Convolutions through time over spectrograms (Wehrmann and Barros 2017, CTT-MMC-S).

A step of the expert ``spectrogram`` is 3 s of sound, 130 x 513 amplitudes. Each is batch-normalised, goes
through the module, and is an instance of its own in training; a video's prediction is the mean of its
segments'. How many are drawn in training and read at test are options of the expert's steps:
``spectrogram.cap`` with ``spectrogram.how=random``, and ``spectrogram.tested``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from extract.errors import UsageError
from train.layers.basic import token
from train.layers.ctt import ConvolutionThroughTime, CttOptions, averaged, make_head
from train.layers.frames import one_expert
from train.loading.batch import Batch
from train.model import GenreModel, genre_loss


@dataclass(frozen=True)
class CttSOptions(CttOptions):
    """``moments``: the first length of a spectrogram, which is moments x frequencies."""

    moments: int = 130

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.moments < 1:
            raise ValueError(f"moments is {self.moments}; at least 1 is needed")


class CttS(GenreModel):
    """The order of sounds within a segment counts, that of the segments does not."""

    summary = "convolutions through time over each 3 s of sound, predictions averaged"
    Options = CttSOptions
    uses_order = False
    suits: ClassVar[Mapping[str, int] | None] = {"spectrogram": 130 * 513}

    def __init__(self, inputs: Mapping[str, int], genres: int, options: CttSOptions) -> None:
        super().__init__(inputs, genres, options)
        self.expert = one_expert("ctt-s", inputs, "spectrogram")
        frequencies, rest = divmod(inputs[self.expert], options.moments)
        if rest:
            raise UsageError(
                f"{self.expert!r} has {inputs[self.expert]} values, which are not {options.moments} moments "
                "of as many frequencies each: name spectrogram, or give model.moments"
            )
        self.norm = nn.BatchNorm1d(frequencies)
        self.module = ConvolutionThroughTime(frequencies, options)
        self.absent = token(options.filters)
        self.head = make_head(options, genres)

    def segments(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A vector of each segment, (batch, time, filters), and its weight, (batch, time).

        The weights of a video sum to 1. One without sound has one segment, a learned vector.
        """
        heard = ~batch.padding[self.expert]
        silent = batch.padding[self.expert].all(dim=1)
        vectors = self.absent.expand(*heard.shape, -1)
        if heard.any():
            vectors = vectors.masked_scatter(heard.unsqueeze(2), self._encode(batch, heard).to(vectors))
        first = torch.arange(heard.shape[1], device=heard.device) == 0
        counted = heard | (silent.unsqueeze(1) & first)
        return vectors, counted / counted.sum(dim=1, keepdim=True)

    def _encode(self, batch: Batch, heard: Tensor) -> Tensor:
        """Vectors of all segments of the batch, (segments, filters)."""
        rows = batch.features[self.expert][heard]
        sounds = rows.reshape(len(rows), self.options.moments, -1)
        sounds = self.norm(sounds.transpose(1, 2)).transpose(1, 2)
        encoded: Tensor = self.module(sounds, heard.new_zeros(sounds.shape[:2]))
        return encoded

    def embed(self, batch: Batch) -> Tensor:
        vectors, weights = self.segments(batch)
        return (vectors * weights.unsqueeze(2)).sum(dim=1)

    def forward(self, batch: Batch) -> Tensor:
        vectors, weights = self.segments(batch)
        return averaged(self.head(vectors), weights)

    def loss(self, batch: Batch, positive_weights: Tensor) -> Tensor:
        """Each segment has the genres of its video."""
        assert batch.labels is not None
        vectors, weights = self.segments(batch)
        videos, places = torch.nonzero(weights, as_tuple=True)
        return genre_loss(self.head(vectors[videos, places]), batch.labels[videos], positive_weights)

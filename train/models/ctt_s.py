"""Convolutions through time over spectrograms (Wehrmann and Barros 2017, section 3.3: CTT-MMC-S).

A step of the expert ``spectrogram`` is 3 s of sound, 130 x 513 amplitudes. Each is batch-normalised and goes
through the module. A trailer is divided into p equal parts, and one of the steps of each is drawn: the mean
of their p vectors is the trailer's, which one head classifies, with one loss. In training that is drawn once;
at test as often as ``samples`` says, and the predictions are averaged.
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
from train.model import GenreModel


@dataclass(frozen=True)
class CttSOptions(CttOptions):
    """How a spectrogram is read and how a trailer is sampled.

    Attributes:
        moments: the first length of a spectrogram, which is moments x frequencies.
        parts: p, of which one spectrogram each is drawn.
        samples: draws of p spectrograms at test. Where in its part each of them lies is drawn once and is the
            same for all trailers, so that a prediction is always the same.
    """

    moments: int = 130
    parts: int = 11
    samples: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("moments", "parts", "samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")


class CttS(GenreModel):
    """The order of the steps counts only in so far as it says which part each is in.

    ``points`` (samples, parts): where in its part each step of a sample is drawn at test, from 0 to below 1.
    """

    summary = "convolutions through time over 3 s of sound of each of p parts, their vectors averaged"
    Options = CttSOptions
    suits: ClassVar[Mapping[str, int] | None] = {"spectrogram": 130 * 513}
    points: Tensor

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
        self.register_buffer("points", torch.rand(options.samples, options.parts))

    def vectors(self, batch: Batch) -> Tensor:
        """A vector of each sample, (batch, samples, filters); one sample in training.

        That of a video without sound is a learned one.
        """
        padding = batch.padding[self.expert]
        shares = self._shares(padding)
        drawn = (shares > 0).any(dim=1) & ~padding
        encoded = shares.new_zeros(*drawn.shape, self.options.filters)
        if drawn.any():
            encoded = encoded.masked_scatter(drawn.unsqueeze(2), self._encode(batch, drawn).to(encoded))
        silent = ~batch.present[self.expert][:, None, None]
        return torch.where(silent, self.absent, shares @ encoded)

    def _shares(self, padding: Tensor) -> Tensor:
        """How much of each sample each step is, (batch, samples, time); 1 in all.

        An empty part has the step that it would begin with.
        """
        parts, (videos, time) = self.options.parts, padding.shape
        steps = (~padding).sum(dim=1).view(-1, 1, 1)
        ends = torch.arange(parts + 1, device=padding.device) * steps // parts
        begins, lengths = ends[..., :-1], ends.diff(dim=2)  # of fewer steps than parts some are empty
        points = torch.rand(videos, 1, parts, device=padding.device) if self.training else self.points
        places = (begins + (points * lengths).long()).expand(videos, -1, -1)
        shares = points.new_zeros(videos, places.shape[1], time)
        return shares.scatter_add(2, places, points.new_full((1,), 1 / parts).expand(places.shape))

    def _encode(self, batch: Batch, drawn: Tensor) -> Tensor:
        """Vectors of the drawn steps of the batch, (steps, filters)."""
        rows = batch.features[self.expert][drawn]
        sounds = rows.reshape(len(rows), self.options.moments, -1)
        sounds = self.norm(sounds.transpose(1, 2)).transpose(1, 2)
        encoded: Tensor = self.module(sounds, drawn.new_zeros(sounds.shape[:2]))
        return encoded

    def embed(self, batch: Batch) -> Tensor:
        return self.vectors(batch).mean(dim=1)

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.vectors(batch))
        samples = logits.shape[1]
        return logits[:, 0] if samples == 1 else averaged(logits, logits.new_full((samples,), 1 / samples))

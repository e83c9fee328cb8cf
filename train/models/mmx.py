"""Experts that gate each other, clip by clip (Fish, Weinbren and Gilbert 2021, arXiv 2012.02639).

A clip is a shot. Each expert's steps in it are averaged, those of audio pooled by NetVLAD, and projected to
one width; the experts gate each other (:mod:`train.layers.gating`) and become one vector of unit length. Some
consecutive clips, side by side, make a sequence; all sequences, side by side, the video's bottleneck; two
layers classify it. With the paper's numbers: 9 clips of 128 are 1152, to 256; 40 sequences are 10240, to
2048; then 1024 and the genres.

Places in which a video has no clip hold zeros, and a sequence without a clip stays zero; the paper has the
sequences' layer see the zeros, so that its bias stands there. A video of more sequences than there are
places shows as many of them, evenly spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from extract.errors import UsageError
from train.layers.basic import check_dropout
from train.layers.clips import Clips, NetVlad, clip_means, clips_of
from train.layers.gating import Activation, CollaborativeGating, GatedEmbedding, spread
from train.layers.sequenced import SequencedModel
from train.loading.batch import Batch

TIMELINE = "scenes"
AUDIO = ("vggish",)  # pooled by NetVLAD where nobody says otherwise


@dataclass(frozen=True)
class MmxOptions:
    """Sizes; without a preset small ones.

    Attributes:
        fusion: the experts gate each other, or are only put side by side.
        vlad: experts that are pooled by NetVLAD instead of averaged; None: ``vggish``, if it is there.
        vlad_clusters: its centres.
        width: to which every expert is projected.
        clip_width, sequence_width, bottleneck_width, hidden: of the vectors of clips, of sequences and of the
            video, and of the layer before the genres.
        clips: of a sequence.
        sequences: of a video.
        g_layers, h_layers, activation, batch_norm, include_self: of the gating.
        dropout: on the inputs of the bottleneck and of both layers after it.
    """

    fusion: Literal["gated", "naive-concat"] = "gated"
    vlad: tuple[str, ...] | None = None
    vlad_clusters: int = 16
    width: int = 64
    clip_width: int = 32
    clips: int = 9
    sequence_width: int = 64
    sequences: int = 40
    bottleneck_width: int = 256
    hidden: int = 128
    g_layers: int = 2
    h_layers: int = 1
    activation: Activation = "relu"
    batch_norm: bool = False
    include_self: bool = False
    dropout: float = 0.1

    def __post_init__(self) -> None:
        sizes = ("width", "clip_width", "clips", "sequence_width", "sequences", "bottleneck_width", "hidden")
        for name in (*sizes, "vlad_clusters", "g_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        if self.h_layers < 0:
            raise ValueError(f"h_layers is {self.h_layers}; 0 or more is needed")
        check_dropout(self.dropout)


class Mmx(SequencedModel):
    """Absent experts are not averaged, gated or counted: a clip goes by those that it has."""

    summary = "experts that gate each other in every shot, shots to sequences, sequences to one vector"
    Options = MmxOptions
    timelines = (TIMELINE,)

    def __init__(self, inputs: Mapping[str, int], genres: int, options: MmxOptions) -> None:
        super().__init__(inputs, genres, options)
        self.sizes = options
        pooled = _pooled(inputs, options)
        self.vlads = nn.ModuleDict({name: NetVlad(inputs[name], options.vlad_clusters) for name in pooled})
        dims = [dim * (options.vlad_clusters if name in pooled else 1) for name, dim in inputs.items()]
        self.projections = nn.ModuleList(nn.Linear(dim, options.width) for dim in dims)
        self.gating = None
        if options.fusion == "gated":
            self.gating = CollaborativeGating(
                len(inputs),
                options.width,
                g_layers=options.g_layers,
                h_layers=options.h_layers,
                activation=options.activation,
                batch_norm=options.batch_norm,
                include_self=options.include_self,
            )
        self.clip = GatedEmbedding(len(inputs) * options.width, options.clip_width)
        self.sequence = nn.Linear(options.clips * options.clip_width, options.sequence_width)
        self.whole = nn.Linear(options.sequences * options.sequence_width, options.bottleneck_width)
        self.head = nn.Sequential(
            nn.ReLU(),
            nn.Dropout(options.dropout),
            nn.Linear(options.bottleneck_width, options.hidden),
            nn.ReLU(),
            nn.Dropout(options.dropout),
            nn.Linear(options.hidden, genres),
        )
        self.dropout = nn.Dropout(options.dropout)

    @property
    def bottleneck(self) -> int:
        return self.sizes.bottleneck_width

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits

    def pool(self, sequences: Tensor) -> Tensor:
        pooled: Tensor = self.whole(self.dropout(sequences.flatten(1)))
        return pooled

    def sequences(self, batch: Batch) -> tuple[Tensor, Tensor]:
        sizes = self.sizes
        clips = clips_of(batch, tuple(self.inputs), timeline=TIMELINE)
        row = _row(clips, sizes.clips, sizes.sequences)
        clips, row = clips.keep(row >= 0), row[row >= 0]
        rows = len(batch) * sizes.sequences
        vectors = self._clip_vectors(batch, clips)
        side = vectors.new_zeros(rows * sizes.clips, sizes.clip_width)
        side = side.index_copy(0, row * sizes.clips + clips.place % sizes.clips, vectors)
        there = torch.zeros(rows, dtype=torch.bool, device=row.device).index_fill(0, row, value=True)
        seen = spread(functional.relu(self.sequence(side.view(rows, -1)[there])), there)
        shape = (len(batch), sizes.sequences)
        return seen.view(*shape, -1), there.view(shape)

    def _clip_vectors(self, batch: Batch, clips: Clips) -> Tensor:
        """(clips, clip_width), each of unit length."""
        vectors, present = [], []
        for name, project in zip(self.inputs, self.projections, strict=True):
            owner = clips.owners[name]
            steps, owner = batch.features[name][~batch.padding[name]][owner >= 0], owner[owner >= 0]
            pooled = (
                self.vlads[name](steps, owner, len(clips))
                if name in self.vlads
                else clip_means(steps, owner, len(clips))
            )
            there = torch.bincount(owner, minlength=len(clips)) > 0
            vectors.append(spread(functional.normalize(project(pooled[there]), dim=1), there))
            present.append(there)
        joined = torch.stack(vectors, dim=1)
        if self.gating is not None:
            joined = self.gating(joined, torch.stack(present, dim=1))
        embedded: Tensor = self.clip(joined.flatten(1))
        return embedded


def _pooled(inputs: Mapping[str, int], options: MmxOptions) -> tuple[str, ...]:
    """The experts that NetVLAD pools."""
    if options.vlad is None:
        return tuple(name for name in AUDIO if name in inputs)
    unknown = set(options.vlad) - set(inputs)
    if unknown:
        raise UsageError(
            f"model.vlad names {', '.join(sorted(unknown))}; the experts are {', '.join(inputs)}"
        )
    return options.vlad


def _row(clips: Clips, length: int, room: int) -> Tensor:
    """The place of each clip's sequence among all of the batch, (clips,); -1: there is no room for it.

    Of n sequences, more than there is ``room`` for, those in the middle of ``room`` equal pieces are taken:
    number k is (2 k + 1) n // (2 room), as :class:`train.loading.steps.Steps` chooses steps.
    """
    sequence = clips.place // length
    many = (-(-clips.counts // length))[clips.video]
    nearest = -((many - 2 * room * sequence) // (2 * many))
    taken = (2 * nearest + 1) * many // (2 * room) == sequence
    place = torch.where(many > room, torch.where(taken, nearest, -1), sequence)
    return torch.where(place >= 0, clips.video * room + place, -1)

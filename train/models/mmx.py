"""Experts that gate each other, clip by clip (Fish, Weinbren and Gilbert 2021, arXiv 2012.02639).

A clip is a shot. Each expert's steps in it are averaged, those of audio pooled by NetVLAD, and projected to
one width; the experts gate each other (:mod:`train.layers.gating`) and become one vector of unit length
(:mod:`train.layers.fusion`). Some consecutive clips, side by side, make a sequence; all sequences, side by
side, the video's bottleneck; two layers classify it. With the paper's numbers (section 7): 9 clips of 128 are
1152, by the two layers of j to 256; 40 sequences are 10240, by the two layers of k to 2048; then l, 1024 and
the genres. The widths inside j and k are not stated; here they are those of their outputs.

Section 3.2 also classifies sequences: with ``per_sequence`` k sees one at a time, each has the genres of its
video in the loss, and a video's prediction is the mean of its sequences'.

Places in which a video has no clip hold zeros, and a sequence without a clip stays zero; the paper has the
sequences' layer see the zeros, so that its bias stands there. A video of more sequences than there are
places shows as many of them, evenly spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from extract.errors import UsageError
from train.layers.basic import check_dropout
from train.layers.clips import Clips, NetVlad, clip_means, clips_of
from train.layers.ctt import averaged
from train.layers.fusion import Fusion, GatedFusion, SideBySide
from train.layers.gating import Activation, CollaborativeGating, spread
from train.layers.sequenced import SequencedModel
from train.loading.batch import Batch
from train.model import genre_loss

TIMELINE = "scenes"
AUDIO = ("vggish",)  # pooled by NetVLAD where nobody says otherwise


@dataclass(frozen=True)
class MmxOptions:
    """Sizes; without a preset small ones.

    Attributes:
        fusion: the experts gate each other; or are put side by side, with a layer after it
            (``naive-concat``) or as they are (``direct``).
        per_sequence: genres of each sequence.
        motion: experts that are one, side by side: the paper's motion expert is two networks (section 4.2).
            Those that are not there count nothing.
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

    fusion: Fusion = "gated"
    per_sequence: bool = False
    motion: tuple[str, ...] = ()
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
        dims = {name: dim * (options.vlad_clusters if name in pooled else 1) for name, dim in inputs.items()}
        self.experts = _experts(inputs, options.motion)
        self.projections = nn.ModuleList(
            nn.Linear(sum(dims[name] for name in names), options.width) for names in self.experts
        )
        self.fusion = _fusion(len(self.experts), options)
        self.sequence = _two_layers(options.clips * self.fusion.width, options.sequence_width)
        seen = 1 if options.per_sequence else options.sequences
        self.whole = _two_layers(seen * options.sequence_width, options.bottleneck_width)
        self.head = nn.Sequential(
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
        if self.sizes.per_sequence:
            each, there = self.sequence_logits(batch)
            return averaged(each, there / there.sum(dim=1, keepdim=True))
        logits: Tensor = self.head(self.embed(batch))
        return logits

    def loss(self, batch: Batch, positive_weights: Tensor) -> Tensor:
        if not self.sizes.per_sequence:
            return super().loss(batch, positive_weights)
        assert batch.labels is not None
        each, there = self.sequence_logits(batch)
        return genre_loss(each[there], batch.labels[there.nonzero()[:, 0]], positive_weights)

    def sequence_logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (batch, sequences, genres) of each sequence, and (batch, sequences) which there are.

        Raises UsageError for a model that was not trained ``per_sequence``.
        """
        if not self.sizes.per_sequence:
            raise UsageError("the model sees all sequences at once: train with --set model.per_sequence=true")
        sequences, there = self.sequences(batch)
        logits: Tensor = self.head(self.whole(self.dropout(sequences)))
        return logits, there

    def sequence_seconds(self, batch: Batch) -> Tensor:
        """When the first and the last step of each sequence begin, (batch, sequences, 2).

        Infinity and its negative where there is no sequence.
        """
        clips = clips_of(batch, tuple(self.inputs), timeline=TIMELINE)
        row = _row(clips, self.sizes.clips, self.sizes.sequences)
        size, times = len(batch) * self.sizes.sequences, batch.start_seconds
        some = next(iter(times.values()))
        first, last = some.new_full((size,), torch.inf), some.new_full((size,), -torch.inf)
        for name, owner in clips.owners.items():
            place, seconds = row[owner], times[name][~batch.padding[name]]
            place, seconds = place[place >= 0], seconds[place >= 0]
            first.scatter_reduce_(0, place, seconds, "amin")
            last.scatter_reduce_(0, place, seconds, "amax")
        return torch.stack([first, last], dim=1).view(len(batch), self.sizes.sequences, 2)

    def embed(self, batch: Batch) -> Tensor:
        sequences, there = self.sequences(batch)
        return self._mean(sequences, there) if self.sizes.per_sequence else self.pool(sequences)

    def pool(self, sequences: Tensor) -> Tensor:
        if self.sizes.per_sequence:
            return self._mean(sequences, sequences.detach().ne(0).any(dim=2))
        pooled: Tensor = self.whole(self.dropout(sequences.flatten(1)))
        return pooled

    def _mean(self, sequences: Tensor, there: Tensor) -> Tensor:
        """The mean of what k makes of each sequence, (batch, bottleneck)."""
        each: Tensor = self.whole(self.dropout(sequences)) * there.unsqueeze(2)
        return each.sum(dim=1) / there.sum(dim=1, keepdim=True).clamp(min=1)

    def sequences(self, batch: Batch) -> tuple[Tensor, Tensor]:
        sizes = self.sizes
        clips = clips_of(batch, tuple(self.inputs), timeline=TIMELINE)
        row = _row(clips, sizes.clips, sizes.sequences)
        clips, row = clips.keep(row >= 0), row[row >= 0]
        rows = len(batch) * sizes.sequences
        vectors = self._clip_vectors(batch, clips)
        side = vectors.new_zeros(rows * sizes.clips, self.fusion.width)
        side = side.index_copy(0, row * sizes.clips + clips.place % sizes.clips, vectors)
        there = torch.zeros(rows, dtype=torch.bool, device=row.device).index_fill(0, row, value=True)
        seen = spread(self.sequence(side.view(rows, -1)[there]), there)
        shape = (len(batch), sizes.sequences)
        return seen.view(*shape, -1), there.view(shape)

    def _clip_vectors(self, batch: Batch, clips: Clips) -> Tensor:
        """(clips, width), as the fusion makes them."""
        vectors, present = [], []
        for names, project in zip(self.experts, self.projections, strict=True):
            parts, known = zip(*(self._pooled(batch, clips, name) for name in names), strict=True)
            pooled, there = torch.cat(parts, dim=1), torch.stack(known).any(dim=0)
            vectors.append(spread(functional.normalize(project(pooled[there]), dim=1), there))
            present.append(there)
        fused: Tensor = self.fusion(torch.stack(vectors, dim=1), torch.stack(present, dim=1))
        return fused

    def _pooled(self, batch: Batch, clips: Clips, name: str) -> tuple[Tensor, Tensor]:
        """What a table says of each clip, zero where it has no step; and where it has one, (clips,)."""
        owner = clips.owners[name]
        steps, owner = batch.features[name][~batch.padding[name]][owner >= 0], owner[owner >= 0]
        there = torch.bincount(owner, minlength=len(clips)) > 0
        if name in self.vlads:
            return self.vlads[name](steps, owner, len(clips)), there
        return clip_means(steps, owner, len(clips)), there


def _experts(inputs: Mapping[str, int], motion: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The tables of each expert; those of ``motion`` are together where the first of them stands."""
    joined = tuple(name for name in inputs if name in motion)
    return [
        joined if name in joined else (name,) for name in inputs if name not in joined or name == joined[0]
    ]


def _fusion(experts: int, options: MmxOptions) -> GatedFusion | SideBySide:
    if options.fusion != "gated":
        width = options.clip_width if options.fusion == "naive-concat" else None
        return SideBySide(experts, options.width, width)
    if options.clip_width < experts:
        raise UsageError(f"model.clip_width is {options.clip_width}; {experts} experts need as much at least")
    gating = CollaborativeGating(
        experts,
        options.width,
        g_layers=options.g_layers,
        h_layers=options.h_layers,
        activation=options.activation,
        batch_norm=options.batch_norm,
        include_self=options.include_self,
    )
    return GatedFusion(gating, experts, options.width, options.clip_width)


def _two_layers(inputs: int, width: int) -> nn.Sequential:
    """With He's first weights: PyTorch's would shrink what tells videos apart by half in every layer."""
    layers = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
    for weight in layers.parameters():
        if weight.ndim == 2:
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
    return layers


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

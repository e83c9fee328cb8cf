"""Steps of several experts to the clips of a video: its shots, with what each expert saw in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.layers.gating import RowNorm
from train.loading.batch import Batch


@dataclass(frozen=True)
class Clips:
    """The clips of a batch's videos, one video after the other, each in the order of time.

    ``owners``: expert -> (steps,) the clip of each step that is there, in the order of
    ``features[~padding]``; -1: of none. ``video`` and ``place`` (clips,) say of each clip which video of the
    batch it belongs to, and its number there. ``counts`` (videos,) is how many clips a video has.
    """

    owners: Mapping[str, Tensor]
    video: Tensor
    place: Tensor
    counts: Tensor

    def __len__(self) -> int:
        return len(self.video)

    def keep(self, chosen: Tensor) -> Clips:
        """Those where ``chosen`` (clips,) is True; places and counts stay those of the whole video."""
        number = torch.where(chosen, chosen.cumsum(0) - 1, -1)
        owners = {expert: number[owner] for expert, owner in self.owners.items()}
        return Clips(owners, self.video[chosen], self.place[chosen], self.counts)


def clips_of(batch: Batch, experts: Sequence[str], *, timeline: str) -> Clips:
    """Each step belongs to the shot of ``timeline`` that has begun last when the step begins.

    A video without shots is cut at the steps of the first of ``experts`` that it has. Steps before the first
    shot belong to it. A shot in which no expert has a step is not a clip.
    """
    begins = _begins(batch, experts, timeline)
    shots = begins.shape[1]
    keys = []
    for expert in experts:
        shot = torch.searchsorted(begins, batch.start_seconds[expert].contiguous(), right=True) - 1
        video = torch.arange(len(batch), device=shot.device).unsqueeze(1)
        keys.append((video * shots + shot.clamp(min=0))[~batch.padding[expert]])
    clips, numbers = torch.unique(torch.cat(keys), return_inverse=True)
    video = clips // shots
    counts = torch.bincount(video, minlength=len(batch))
    place = torch.arange(len(clips), device=clips.device) - (counts.cumsum(0) - counts)[video]
    owners = dict(zip(experts, numbers.split([len(key) for key in keys]), strict=True))
    return Clips(owners, video, place, counts)


def _begins(batch: Batch, experts: Sequence[str], timeline: str) -> Tensor:
    """(videos, shots) seconds at which the shots begin, ascending; infinity where there is none."""
    names = [name for name in (timeline, *experts) if name in batch.padding]
    width = max(batch.padding[name].shape[1] for name in names)
    some = batch.start_seconds[names[0]]
    begins = torch.full((len(batch), width), math.inf, dtype=some.dtype, device=some.device)
    for name in reversed(names):
        times = batch.start_seconds[name].masked_fill(batch.padding[name], math.inf)
        times = functional.pad(times, (0, width - times.shape[1]), value=math.inf)
        begins = torch.where(batch.present[name].unsqueeze(1), times, begins)
    return begins.sort(dim=1).values


def clip_means(steps: Tensor, owner: Tensor, clips: int) -> Tensor:
    """The mean of each clip's steps: (steps, dim) and (steps,) to (clips, dim); of none, zero."""
    counts = torch.bincount(owner, minlength=clips).clamp(min=1).unsqueeze(1)
    return _sums(steps, owner, clips) / counts


class NetVlad(nn.Module):
    """Steps to one vector: what they leave of each of ``clusters`` centres (Arandjelovic et al. 2016, eq. 4).

    The assignment's batch normalisation and the length of one of each centre's and of the whole vector are
    those of the public code of Miech, Laptev and Sivic 2018.
    """

    def __init__(self, dim: int, clusters: int) -> None:
        super().__init__()
        scale = 1 / math.sqrt(dim)
        self.assign = nn.Parameter(scale * torch.randn(dim, clusters))
        self.norm = RowNorm(clusters)
        self.centres = nn.Parameter(scale * torch.randn(dim, clusters))
        self.width = dim * clusters

    def forward(self, steps: Tensor, owner: Tensor, clips: int) -> Tensor:
        """(steps, dim) and (steps,) to (clips, dim * clusters); of none, zero."""
        shares = self.norm(steps @ self.assign).softmax(dim=1)
        weights = _sums(shares, owner, clips)
        sums = [_sums(steps * share.unsqueeze(1), owner, clips) for share in shares.unbind(1)]
        left = torch.stack(sums, dim=2) - weights.unsqueeze(1) * self.centres
        return functional.normalize(functional.normalize(left, dim=1).flatten(1), dim=1)


def _sums(rows: Tensor, owner: Tensor, clips: int) -> Tensor:
    return rows.new_zeros(clips, rows.shape[1]).index_add(0, owner, rows)

"""Samples out of stored vectors: some videos of one part, and batches of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from extract.errors import command
from train.errors import DataError
from train.loading.batch import Batch
from train.loading.features import FeatureTable
from train.loading.memory import Arrays
from train.loading.steps import Steps
from train.loading.vectors import read_rows

_EXPONENT = np.uint16(0x7C00)  # all ones in a float16 that is infinite or NaN


Video = tuple[Tensor, Tensor]  # one expert's vectors (time, dim) and start_seconds (time,) of one video


@dataclass(frozen=True)
class Unit:
    """The steps of some videos of one part, one after the other, as they are stored.

    ``offsets`` (videos + 1) says where each video's begin in ``vectors`` (steps, dim) and ``starts``.
    """

    vectors: Tensor
    starts: Tensor
    offsets: list[int]

    def video(self, number: int) -> Video:
        steps = slice(self.offsets[number], self.offsets[number + 1])
        return self.vectors[steps], self.starts[steps]


def read_unit(
    table: FeatureTable,
    videos: NDArray[np.int64],
    ids: Sequence[str],
    steps: Steps,
    draw: tuple[int, int],
    arrays: Arrays | None = None,
) -> Unit:
    """Read some videos of one part, ascending; ``ids`` are theirs, ``draw`` is (seed, epoch).

    Raises StoreError, and DataError for values that are not finite where the table allows none.
    """
    chosen = [
        first + steps.choose(count, draw=(*draw, zlib.crc32(f"{table.name}/{name}".encode())))
        for first, count, name in zip(
            table.first[videos].tolist(), table.steps[videos].tolist(), ids, strict=True
        )
    ]
    part = int(table.part[videos[0]])
    vectors, starts = read_rows(
        table.paths[part],
        np.concatenate(chosen),
        of=int(table.rows_of_parts[part]),
        dim=table.dim,
        dtype=table.dtype,
        columns=table.columns,
        arrays=arrays,
    )
    offsets = np.concatenate([[0], np.cumsum([len(rows) for rows in chosen])])
    if not table.nan and not _finite(vectors):
        _refuse(table.name, vectors, offsets, ids)
    if steps.mean:
        counts = np.diff(offsets)
        vectors = np.add.reduceat(vectors, offsets[:-1], axis=0, dtype=np.float32) / counts[:, None]
        starts, offsets = starts[offsets[:-1]], np.arange(len(ids) + 1)
    return Unit(torch.from_numpy(vectors), torch.from_numpy(starts), offsets.tolist())


def _finite(vectors: NDArray[Any]) -> bool:
    if vectors.dtype == np.float16:
        return not len(vectors) or bool(np.bitwise_and(vectors.view(np.uint16), _EXPONENT).max() != _EXPONENT)
    return bool(np.isfinite(vectors).all())


def _refuse(table: str, vectors: NDArray[Any], offsets: NDArray[np.int64], ids: Sequence[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    video = ids[int(np.searchsorted(offsets, bad[0], side="right")) - 1]
    raise DataError(
        f"{table!r} has values that are not finite (NaN or infinity), first in video {video!r}: run "
        f"`{command('verify', 'STORE')}`, delete the part that it names and extract again"
    )


Change = Callable[[str, Tensor], None]  # writes over an expert's steps of one video, (time, dim)


def collate(
    ids: Sequence[str],
    samples: Mapping[str, Sequence[Video | None]],
    dims: Mapping[str, int],
    labels: Tensor | None = None,
    *,
    arrays: Arrays | None = None,
    change: Change | None = None,
) -> Batch:
    """Pad videos to a batch; None is a video that has nothing of an expert."""
    arrays = arrays or Arrays(0)
    features, padding, present, start_seconds = {}, {}, {}, {}
    for expert, videos in samples.items():
        lengths = torch.tensor([0 if video is None else len(video[0]) for video in videos])
        time = max(1, int(lengths.max()))
        values = torch.from_numpy(arrays.empty((len(ids), time, dims[expert]), np.float32))
        seconds = torch.zeros(len(ids), time, dtype=torch.float64)
        for i, (video, length) in enumerate(zip(videos, lengths.tolist(), strict=True)):
            if video is not None:
                values[i, :length] = video[0]  # float16 becomes float32 on the way
                seconds[i, :length] = video[1]
                if change is not None and dims[expert]:
                    change(expert, values[i, :length])
            values[i, length:] = 0
        features[expert], start_seconds[expert] = values, seconds
        padding[expert] = torch.arange(time) >= lengths[:, None]
        present[expert] = lengths > 0
    return Batch(tuple(ids), features, padding, present, start_seconds, labels)

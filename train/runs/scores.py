"""What a trained model says of some videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.labels.splits import Part
from train.loading.batch import Batch
from train.model import GenreModel
from train.runs.processes import autocast


def scores_of(
    model: GenreModel, batches: Iterable[Batch], *, device: str = "cpu", precision: str = "float32"
) -> tuple[list[str], NDArray[np.float32]]:
    """Ids, and the sigmoid of their logits, (videos, genres), in the order of ``batches``."""

    def scores(batch: Batch) -> Tensor:
        logits: Tensor = model(batch)
        return logits.float().sigmoid()

    ids, values = outputs_of(model, batches, scores, device=device, precision=precision)
    return ids, values.reshape(len(ids), model.genres)


def scores_of_parts(
    model: GenreModel,
    parts: Mapping[Part, Iterable[Batch]],
    *,
    device: str = "cpu",
    precision: str = "float32",
) -> tuple[list[str], list[str], NDArray[np.float32]]:
    """The same of some parts of a split, one after the other: ids, each one's part, and scores."""
    ids: list[str] = []
    splits: list[str] = []
    scores = [np.zeros((0, model.genres), np.float32)]
    for part, batches in parts.items():
        names, values = scores_of(model, batches, device=device, precision=precision)
        ids += names
        splits += [part] * len(names)
        scores.append(values)
    return ids, splits, np.concatenate(scores)


def outputs_of(
    model: GenreModel,
    batches: Iterable[Batch],
    output: Callable[[Batch], Tensor],
    *,
    device: str = "cpu",
    precision: str = "float32",
) -> tuple[list[str], NDArray[np.float32]]:
    """Ids, and what ``output`` makes of each video with the model, (videos, width); of none, (0, 0)."""
    found = list(each_output(model, batches, output, device=device, precision=precision))
    ids = [name for names, _ in found for name in names]
    return ids, np.concatenate([values for _, values in found]) if found else np.zeros((0, 0), np.float32)


def each_output(
    model: GenreModel,
    batches: Iterable[Batch],
    output: Callable[[Batch], Tensor],
    *,
    device: str = "cpu",
    precision: str = "float32",
) -> Iterator[tuple[tuple[str, ...], NDArray[np.float32]]]:
    """The same batch by batch."""
    model.to(device).eval()
    for batch in batches:
        with torch.inference_mode(), autocast(device, precision):
            values = output(batch.to(device, non_blocking=True)).float().cpu().numpy()
        yield batch.ids, values

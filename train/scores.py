"""Scores: what a trained model says of some videos."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from train.batch import Batch
from train.model import Model


@torch.inference_mode()
def scores_of(
    model: Model, batches: Iterable[Batch], *, device: str = "cpu", precision: str = "float32"
) -> tuple[list[str], NDArray[np.float32]]:
    """Ids, and the sigmoid of their logits, (videos, genres), in the order of ``batches``."""
    model = model.to(device).eval()
    half = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(precision)
    ids: list[str] = []
    parts = [torch.zeros(0, model.genres)]
    for batch in batches:
        with torch.autocast(torch.device(device).type, dtype=half, enabled=half is not None):
            logits = model(batch.to(device))
        ids += batch.ids
        parts.append(logits.float().sigmoid().cpu())
    return ids, torch.cat(parts).numpy()

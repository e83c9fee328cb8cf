"""Means and deviations that an earlier training found of the same rows, in the user's cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from extract.errors import StoreError
from extract.weights.hashing import cache_dir
from train.loading.features import FeatureTable
from train.loading.steps import Steps
from train.loading.tensor_file import whole_tensors

VERSION = 1  # of how they are computed
_MOST_FILES = 1000

MeanAndStd = tuple[Tensor, Tensor]


def kept_moments(
    table: FeatureTable, places: NDArray[np.int64], steps: Steps, seed: int, make: Callable[[], MeanAndStd]
) -> MeanAndStd:
    """Mean and deviation, (dim,) each, of the rows that ``steps`` gives of the videos at ``places``.

    They are made where none are kept of the same files, videos and steps. What cannot be written is not kept.
    """
    path = cache_dir() / "moments" / f"{_key(table, places, steps, seed)}.safetensors"
    found = _read(path, table.dim)
    if found is None:
        found = make()
        with suppress(OSError, StoreError):
            _write(path, found)
    return found


def _key(table: FeatureTable, places: NDArray[np.int64], steps: Steps, seed: int) -> str:
    """A digest of all that the rows depend on: a part that is written anew has another size or time."""
    parts = np.unique(table.part[places])
    files = [table.paths[part] for part in parts[parts >= 0].tolist()]
    stamps = [(str(path), found.st_size, found.st_mtime) for path in files for found in [path.stat()]]
    drawn = seed if steps.how in ("random", "stratified") else None
    said = [VERSION, table.name, table.fingerprint, table.columns, stamps, asdict(steps), drawn]
    digest = hashlib.sha256(json.dumps(said).encode())
    for numbers in (table.part, table.first, table.steps):
        digest.update(numbers[places].tobytes())
    return digest.hexdigest()


def _read(path: Path, dim: int) -> MeanAndStd | None:
    """None where there is no such file, or a damaged one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
        mean, std = tensors["mean"], tensors["std"]
    except (OSError, SafetensorError, KeyError):
        return None
    return (mean, std) if mean.shape == std.shape == (dim,) else None


def _write(path: Path, moments: MeanAndStd) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_tensors(path) as temporary:
        save_file({"mean": moments[0].contiguous(), "std": moments[1].contiguous()}, temporary)
    by_age = sorted(path.parent.glob("*.safetensors"), key=lambda each: each.stat().st_mtime)
    for oldest in by_age[:-_MOST_FILES]:
        oldest.unlink(missing_ok=True)

"""Every expert around zero: mean and standard deviation of the training split, kept with the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.errors import DataError
from train.loading.batch import Batch
from train.loading.collate import read_unit
from train.loading.kept_moments import kept_moments
from train.loading.memory import Arrays
from train.loading.order import evaluation_order
from train.loading.readahead import by_part, torch_threads
from train.loading.steps import Steps
from train.loading.stream import Loader
from train.loading.tensor_file import whole_tensors

_PIECE_BYTES = 32 << 20
_CACHED_VALUES = 1 << 18  # 1 MiB of float32, which a core's cache holds


@dataclass(frozen=True)
class Normaliser:
    """``(x - mean) / std`` for every value of an expert's vectors; ``mean`` and ``std``: expert -> (dim,).

    A value that is only ever 0 or 1 stays as it is: it names a category, and a rare one would become huge.
    Padding stays zero. NaN, which some tables use for what could not be measured (``unmeasured``), becomes
    zero, the mean.
    """

    mean: Mapping[str, Tensor]
    std: Mapping[str, Tensor]
    unmeasured: frozenset[str] = frozenset()

    @classmethod
    def fit(cls, loader: Loader) -> Normaliser:
        """One pass over the rows of a loader's videos, part by part: every step counts once.

        A value that never changes gets std 1. No batches are made, and the number of threads changes nothing.
        What an earlier training found of the same rows is taken from the user's cache.
        """
        tables, stream, places = loader.samples.features.tables, loader.stream, loader.samples.places
        found = {
            name: kept_moments(
                table,
                places,
                stream.steps.get(name, Steps()),
                stream.seed,
                partial(_Moments.mean_and_std_of, loader, name),
            )
            for name, table in tables.items()
        }
        return cls(
            {name: mean for name, (mean, _) in found.items()},
            {name: std for name, (_, std) in found.items()},
            frozenset(name for name, table in tables.items() if table.nan),
        )

    @cached_property
    def _lines(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Offset and slope of the line that a value goes through, (dim,) each."""
        slopes = {name: 1 / std for name, std in self.std.items()}
        return {name: (-self.mean[name] * slope, slope) for name, slope in slopes.items()}

    def apply(self, batch: Batch) -> Batch:
        """The batch with normalised features, written over its own; timelines have nothing to normalise."""
        for name, features in batch.features.items():
            if features.shape[2]:
                self.apply_to(name, features)
                features.masked_fill_(batch.padding[name].unsqueeze(-1), 0)
        return batch

    def apply_to(self, expert: str, steps: Tensor) -> None:
        """Write normalised values over some ``steps`` of an expert, (..., dim)."""
        offset, slope = self._lines[expert]
        torch.addcmul(offset, steps, slope, out=steps)
        if expert in self.unmeasured:
            steps.nan_to_num_(nan=0.0)

    def save(self, path: Path) -> None:
        """As safetensors, whole or not at all."""
        from safetensors.torch import save_file

        tensors = {f"{name}.mean": mean.contiguous() for name, mean in self.mean.items()}
        tensors |= {f"{name}.std": std.contiguous() for name, std in self.std.items()}
        with whole_tensors(path) as temporary:
            save_file(tensors, temporary, metadata={"unmeasured": json.dumps(sorted(self.unmeasured))})

    @classmethod
    def load(cls, path: Path) -> Normaliser:
        """Raises DataError for a file that is missing or damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
                unmeasured = frozenset(json.loads(file.metadata()["unmeasured"]))
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise DataError(f"cannot read {str(path)!r} ({error}): train again, or restore it") from error
        named = {
            kind: {key[: -len(kind)]: t for key, t in tensors.items() if key.endswith(kind)}
            for kind in (".mean", ".std")
        }
        return cls(named[".mean"], named[".std"], unmeasured)


class Normalised:
    """A loader whose batches are normalised, by the threads that pad them."""

    def __init__(self, loader: Loader, normaliser: Normaliser) -> None:
        self.loader, self.normaliser = loader, normaliser

    @property
    def ids(self) -> tuple[str, ...]:
        return self.loader.ids

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        return self.loader.batches(self.normaliser.apply_to)

    def set_epoch(self, epoch: int) -> None:
        self.loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.loader.load_state_dict(state)


class _Moments:
    """Count, mean and sum of squared deviations, piece by piece (Chan, Golub and LeVeque 1979)."""

    def __init__(self, dim: int) -> None:
        self.count = torch.zeros(dim, dtype=torch.float64)
        self.mean = torch.zeros(dim, dtype=torch.float64)
        self.squares = torch.zeros(dim, dtype=torch.float64)
        self.categories = torch.ones(dim, dtype=torch.bool)  # values that were only ever 0 or 1

    @classmethod
    def of(cls, loader: Loader, expert: str) -> _Moments:
        """Those of all steps that a loader gives of an expert; threads read pieces of some MB."""
        samples, stream = loader.samples, loader.stream
        table, steps = samples.features.tables[expert], stream.steps.get(expert, Steps())
        row_bytes, arrays = table.dim * table.dtype.itemsize, Arrays(_PIECE_BYTES)

        def of_piece(places: NDArray[np.int64]) -> _Moments:
            ids = [samples.features.ids[place] for place in places]
            unit = read_unit(table, places, ids, steps, (stream.seed, 0), arrays)
            found = cls(table.dim)
            for values in torch.split(unit.vectors, max(1, _CACHED_VALUES // table.dim)):
                found.add(values.float(), nan=table.nan)
            return found

        whole = cls(table.dim)
        with torch_threads(stream.reading_threads, "moments") as pool:
            for group in by_part(table, samples.places):
                places = samples.places[group]
                sizes = row_bytes * steps.kept(table.steps[places])
                pieces = [places[piece] for piece in evaluation_order(sizes, block_bytes=_PIECE_BYTES)]
                for found in pool.map(of_piece, pieces):
                    whole.merge(found)
        return whole

    @classmethod
    def mean_and_std_of(cls, loader: Loader, expert: str) -> tuple[Tensor, Tensor]:
        whole = cls.of(loader, expert)
        return whole.centre().float(), whole.std().float()

    def add(self, values: Tensor, *, nan: bool) -> None:
        """``values`` (steps, dim) float32; with ``nan``, NaN is left out."""
        if not len(values):
            return
        named = self.categories
        if named.any():
            some = values[:, named]
            self.categories[named.clone()] = ((some == 0) | (some == 1)).all(dim=0)
        piece = _Moments(0)
        piece.categories = self.categories
        if nan:
            known = ~values.isnan()
            piece.count = known.sum(dim=0).double()
            piece.mean = values.double().nansum(dim=0) / piece.count.clamp(min=1)
            piece.squares = ((values - piece.mean) ** 2).nansum(dim=0)
        else:
            variance, mean = torch.var_mean(values, dim=0, correction=0)
            piece.count = torch.full_like(self.count, len(values))
            piece.mean, piece.squares = mean.double(), variance.double() * len(values)
        self.merge(piece)

    def merge(self, other: _Moments) -> None:
        """Those of both together."""
        total = (self.count + other.count).clamp(min=1)
        away = other.mean - self.mean
        self.squares += other.squares + away**2 * self.count * other.count / total
        self.mean += away * other.count / total
        self.count += other.count
        self.categories = self.categories & other.categories

    def centre(self) -> Tensor:
        """The mean, and 0 for categories."""
        return self.mean.masked_fill(self.categories, 0.0)

    def std(self) -> Tensor:
        """Of the population; 1 for categories, and for a value that never changes."""
        found = (self.squares / self.count.clamp(min=1)).sqrt().masked_fill(self.categories, 1.0)
        return torch.where(found > 1e-6 * self.mean.abs(), found, torch.ones_like(found))

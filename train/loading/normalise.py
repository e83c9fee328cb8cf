"""Every expert around zero: mean and standard deviation of the training split, kept with the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from train.errors import DataError
from train.loading.batch import Batch
from train.loading.stream import Loader


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
        """One pass over a loader's videos: every step counts once. A value that never changes gets std 1."""
        tables = loader.samples.features.tables
        moments = {name: _Moments(table.dim) for name, table in tables.items()}
        for batch in loader:
            for name, found in moments.items():
                found.add(batch.features[name][~batch.padding[name]], nan=tables[name].nan)
        return cls(
            {name: found.centre().float() for name, found in moments.items()},
            {name: found.std().float() for name, found in moments.items()},
            frozenset(name for name, table in tables.items() if table.nan),
        )

    def apply(self, batch: Batch) -> Batch:
        """The batch with normalised features, written over its own; timelines have nothing to normalise."""
        for name, features in batch.features.items():
            if not features.shape[2]:
                continue
            scale = 1 / self.std[name]
            torch.addcmul(-self.mean[name] * scale, features, scale, out=features)
            if name in self.unmeasured:
                features.nan_to_num_(nan=0.0)
            features.masked_fill_(batch.padding[name].unsqueeze(-1), 0)
        return batch

    def save(self, path: Path) -> None:
        """As safetensors, whole or not at all."""
        from safetensors.torch import save_file

        tensors = {f"{name}.mean": mean.contiguous() for name, mean in self.mean.items()}
        tensors |= {f"{name}.std": std.contiguous() for name, std in self.std.items()}
        beside = path.with_name(f".{path.name}.tmp")
        save_file(tensors, beside, metadata={"unmeasured": json.dumps(sorted(self.unmeasured))})
        beside.replace(path)

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
        return self.loader.batches(self.normaliser.apply)

    def set_epoch(self, epoch: int) -> None:
        self.loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.loader.load_state_dict(state)


class _Moments:
    """Count, mean and sum of squared deviations, batch by batch (Chan, Golub and LeVeque 1979)."""

    def __init__(self, dim: int) -> None:
        self.count = torch.zeros(dim, dtype=torch.float64)
        self.mean = torch.zeros(dim, dtype=torch.float64)
        self.squares = torch.zeros(dim, dtype=torch.float64)
        self.categories = torch.arange(dim)  # places of values that were only ever 0 or 1

    def add(self, values: Tensor, *, nan: bool) -> None:
        """``values`` (steps, dim); with ``nan``, NaN is left out."""
        if not len(values):
            return
        if len(self.categories):
            named = values[:, self.categories]
            self.categories = self.categories[((named == 0) | (named == 1)).all(dim=0)]
        if nan:
            known = ~values.isnan()
            count = known.sum(dim=0).double()
            mean = values.double().nansum(dim=0) / count.clamp(min=1)
            squares = ((values - mean) ** 2).nansum(dim=0)
        else:
            variance, mean = torch.var_mean(values, dim=0, correction=0)
            count = torch.full_like(self.count, len(values))
            mean, squares = mean.double(), variance.double() * len(values)
        total = (self.count + count).clamp(min=1)
        away = mean - self.mean
        self.squares += squares + away**2 * self.count * count / total
        self.mean += away * count / total
        self.count += count

    def centre(self) -> Tensor:
        """The mean, and 0 for categories."""
        return self.mean.index_fill(0, self.categories, 0.0)

    def std(self) -> Tensor:
        """Of the population; 1 for categories, and for a value that never changes."""
        found = (self.squares / self.count.clamp(min=1)).sqrt().index_fill(0, self.categories, 1.0)
        return torch.where(found > 1e-6 * self.mean.abs(), found, torch.ones_like(found))

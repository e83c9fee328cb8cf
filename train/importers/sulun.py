"""Sulun et al. 2024: their published ``features.pkl`` as a store and a table of labels.

The file is a pickle of a dictionary: ``samples`` maps a YouTube id to ``features`` (expert -> vectors) and
``label`` (``labels`` in its README), ``idx_to_label`` maps a label's number to its genre, ``stats`` holds the
features' statistics, which the trainer recomputes (https://github.com/serkansulun/trailer-genre-classification).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.options import Dtype
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.location import Location
from train.errors import DataError
from train.importers.pickles import load_arrays
from train.importers.writing import Source, write_store


@dataclass(frozen=True)
class Imported:
    """What was written."""

    videos: int
    dims: Mapping[str, int]
    genres: tuple[str, ...]


def import_sulun(path: Path, out: Location, labels: Path, *, dtype: Dtype = "float16") -> Imported:
    """Write a store to ``out`` and ``labels`` as CSV (``video_id``, ``genres`` as JSON).

    The file knows no times: a row's interval is its number, one second long. What a sample lacks, or holds
    without a step, is absent. All is looked at before anything is written. Raises DataError, StoreError.
    """
    content = load_arrays(path)
    samples = _samples(path, content)
    genres = genres_of_file(path, content)
    named = {name: _names(name, _labels(sample), genres) for name, sample in samples.items()}
    dims = _dims(samples)
    digest = _sha256(path)
    sources = [
        Source(
            name,
            dim,
            partial(_vectors, samples, name),
            {"importer": "sulun", "version": 1, "file": digest},
            dtype=dtype,
            notes={"file": path.name, "times": "row numbers: the file holds none"},
        )
        for name, dim in sorted(dims.items())
    ]
    for source in sources:
        for name in samples:
            source.rows(name)  # raises for vectors that cannot be stored
    options = {"import": "sulun", "file": path.name}
    write_store(out, list(samples), sources, options=options)
    with labels.open("w", encoding="utf-8", newline="") as file:
        write_csv(file, ("video_id", "genres"), sorted(named.items()))
    used = sorted({genre for mine in named.values() for genre in mine})
    return Imported(len(samples), dims, tuple(used))


def _samples(path: Path, content: Any) -> dict[str, Mapping[str, Any]]:
    samples = content.get("samples") if isinstance(content, Mapping) else None
    if not isinstance(samples, Mapping) or not samples:
        raise DataError(
            f"{str(path)!r} is not the features.pkl of Sulun et al.: it has no dictionary 'samples' (id -> "
            "features, labels)"
        )
    for name, sample in samples.items():
        if not isinstance(name, str) or not isinstance(sample, Mapping) or "features" not in sample:
            raise DataError(f"{str(path)!r}: sample {name!r} has no features: fetch the file again")
    return dict(samples)


def genres_of_file(path: Path, content: Mapping[str, Any]) -> list[str]:
    """Genres by number; ``idx_to_label`` is a list, or a dictionary from number to name."""
    found = content.get("idx_to_label")
    if isinstance(found, Mapping):
        numbers = sorted(found, key=int)
        if [int(number) for number in numbers] == list(range(len(numbers))):
            return [str(found[number]) for number in numbers]
    elif isinstance(found, Iterable) and not isinstance(found, str):
        return [str(name) for name in found]
    raise DataError(f"{str(path)!r} has no idx_to_label that names labels 0, 1, ...: fetch it again")


def _labels(sample: Mapping[str, Any]) -> Any:
    """The public code writes and reads ``label``, its README says ``labels``."""
    return sample["label"] if sample.get("label") is not None else sample.get("labels")


def _names(sample: str, labels: Any, genres: list[str]) -> list[str]:
    """Genres of a sample: a vector with an entry for each genre, or a list of numbers or names."""
    if labels is None:
        raise DataError(f"sample {sample!r} has no 'label' and no 'labels': fetch the file again")
    values = np.asarray(labels).reshape(-1)
    if values.dtype.kind in "US" or (values.dtype == object and all(isinstance(v, str) for v in values)):
        return sorted({str(value) for value in values})
    whole = values.astype(np.int64)
    if not np.array_equal(whole, values):
        raise DataError(
            f"labels of {sample!r} are {values.tolist()}: numbers of genres, or 0 and 1, are known"
        )
    if len(whole) == len(genres) and set(whole.tolist()) <= {0, 1}:
        return sorted(genres[i] for i in np.flatnonzero(whole))
    if len(whole) and (whole.min() < 0 or whole.max() >= len(genres)):
        raise DataError(f"labels of {sample!r} are {whole.tolist()}; there are {len(genres)} genres")
    return sorted({genres[i] for i in whole})


def _array(value: Any) -> NDArray[Any]:
    """(time, dim) of what is stored for an expert; a single vector is one step."""
    array = np.asarray(value.float().numpy() if hasattr(value, "numpy") else value)
    return array.reshape(1, -1) if array.ndim == 1 else array.reshape(-1, array.shape[-1])


def _vectors(samples: Mapping[str, Mapping[str, Any]], expert: str, video_id: str) -> NDArray[Any] | None:
    value = samples[video_id]["features"].get(expert)
    return None if value is None or not len(value) else _array(value)


def _dims(samples: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Length of each expert's vectors, from the first sample that has some."""
    dims: dict[str, int] = {}
    for name, sample in samples.items():
        for expert in sample["features"]:
            vectors = _vectors(samples, expert, name)
            if vectors is None:
                continue
            if (
                dims.setdefault(expert, vectors.shape[1]) != vectors.shape[1]
                or vectors.dtype.kind not in "fiu"
            ):
                raise DataError(
                    f"{expert!r} of {name!r} is {vectors.dtype} {vectors.shape}, others have {dims[expert]} "
                    "numbers in a vector: leave the sample out"
                )
    if not dims:
        raise DataError("no sample has any features: fetch the file again")
    return dims


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

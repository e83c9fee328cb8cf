"""Categories of movies (director, actors, language, rating) as vectors of zeros and ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.fingerprint import canonical_json, digest
from pipeline.storage.atomic import atomic
from pipeline.storage.location import Location, read_bytes
from train.errors import DataError

FILE = "metadata.json"  # in the store: what each place of a vector means

Names = Sequence[str] | None  # of a row and a column; None: nothing is known


@dataclass(frozen=True)
class Categories:
    """``values``: column -> those that have a place of their own; all others share one, the column's last.

    Rare values share a place because a model can learn nothing of a director that it has seen once.
    """

    values: Mapping[str, tuple[str, ...]]

    @classmethod
    def fit(cls, columns: Mapping[str, Sequence[Names]], *, least_rows: int) -> Categories:
        """Values that at least so many rows have. ``columns``: column -> the names of each row."""
        counts = {
            column: Counter(name for names in rows for name in names or ())
            for column, rows in columns.items()
        }
        return cls(
            {
                column: tuple(sorted(name for name, count in found.items() if count >= least_rows))
                for column, found in counts.items()
            }
        )

    @property
    def dim(self) -> int:
        return sum(len(values) + 1 for values in self.values.values())

    @property
    def made_of(self) -> dict[str, Any]:
        columns = [[column, list(values)] for column, values in self.values.items()]
        return {"categories": digest(canonical_json(columns))}

    def encode(self, row: Mapping[str, Names]) -> NDArray[np.float32] | None:
        """(1, dim): 1 for each name of the row; None where no column has any."""
        vector = np.zeros(self.dim, np.float32)
        for column, (places, others) in self._places.items():
            for name in row[column] or ():
                vector[places.get(name, others)] = 1
        return vector[None] if vector.any() else None

    @cached_property
    def _places(self) -> dict[str, tuple[dict[str, int], int]]:
        """By column, the place of each value, and the place of all others."""
        found, first = {}, 0
        for column, values in self.values.items():
            last = first + len(values)
            found[column] = (dict(zip(values, range(first, last), strict=True)), last)
            first = last + 1
        return found

    def save(self, root: Location) -> None:
        with atomic(root / FILE, below=root) as temporary:
            temporary.write_text(json.dumps(self.values, indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, root: Location) -> Categories:
        """Those of a store. Raises DataError where it has none."""
        try:
            found = json.loads(read_bytes(root / FILE))
            return cls({column: tuple(values) for column, values in found.items()})
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise DataError(
                f"{str(root)!r} has no categories ({FILE}): give a store that movies were imported into"
            ) from error

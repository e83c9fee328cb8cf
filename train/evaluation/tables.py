"""Tables of figures over several runs, as Markdown and as CSV."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.storage.csv_cells import write_csv
from train.evaluation.bootstrap import interval
from train.evaluation.metrics import Floats


@dataclass(frozen=True)
class Estimate:
    """A figure over runs that differ in their seed: mean, deviation over seeds, interval over videos.

    ``std`` is NaN for a single run; ``low`` and ``high`` are those of the mean over the runs, by the
    bootstrap, and NaN where there is none.
    """

    mean: float
    std: float = math.nan
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(
        cls,
        values: Sequence[float],
        drawn: Sequence[Floats] = (),
        confidence: float = 0.95,
        bounds: tuple[float, float] = (0.0, 1.0),
    ) -> Estimate:
        """From the value of each run and the figures of its bootstrap resamples, the same in all runs.

        ``bounds`` are those that the figure cannot leave.
        """
        if not values:
            return cls(math.nan)
        std = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        same = len(drawn) == len(values) and len({len(resamples) for resamples in drawn}) == 1
        mean = float(np.mean(values))
        resampled = np.mean(drawn, axis=0) if same else np.zeros(0)
        low, high = interval(mean, resampled, confidence=confidence, bounds=bounds)
        return cls(mean, std, float(low), float(high))

    def text(self) -> str:
        """``0.512 ± 0.004``; of a single run with its interval instead, ``0.512 [0.498, 0.527]``."""
        if math.isnan(self.mean):
            return "–"
        digits = 3 if abs(self.mean) < 10 else 1
        if not math.isnan(self.std):
            return f"{self.mean:.{digits}f} ± {self.std:.{digits}f}"
        if not math.isnan(self.low):
            return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"
        return f"{self.mean:.{digits}f}"


TableEntry = Estimate | str | int
TableRow = tuple[str, tuple[TableEntry, ...]]


@dataclass(frozen=True)
class Table:
    """``rows``: each row's name and its entries, one for each of ``columns``; ``baselines`` are below."""

    name: str
    title: str
    key: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    baselines: tuple[TableRow, ...] = ()
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """A heading, the table and its notes."""
        lines = [f"## {self.title}", "", _line([self.key, *self.columns])]
        lines.append("|" + "---|" * (1 + len(self.columns)))
        for name, entries in (*self.rows, *self.baselines):
            lines.append(_line([name, *(_text(entry) for entry in entries)]))
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """Full precision; each figure with its mean, deviation and interval in columns of their own."""
        wide = {
            column: any(isinstance(entries[place], Estimate) for _, entries in self.rows)
            for place, column in enumerate(self.columns)
        }
        heading = [self.key]
        for column, several in wide.items():
            heading += [column, f"{column} std", f"{column} low", f"{column} high"] if several else [column]
        written = io.StringIO()
        rows = []
        for name, entries in (*self.rows, *self.baselines):
            row: list[float | str] = [name]
            for entry, several in zip(entries, wide.values(), strict=True):
                if isinstance(entry, Estimate):
                    values = (entry.mean, entry.std, entry.low, entry.high)
                    row += ["" if math.isnan(value) else value for value in values]
                else:
                    row += [entry, "", "", ""] if several else [entry]
            rows.append(row)
        write_csv(written, heading, rows)
        return written.getvalue()


def estimates(terms: Mapping[str, str], figures: Mapping[str, Estimate]) -> tuple[TableEntry, ...]:
    """The figures that a paper's columns ask for; missing ones are empty."""
    return tuple(figures.get(name, Estimate(math.nan)) for name in terms.values())


def _text(entry: TableEntry) -> str:
    return entry.text() if isinstance(entry, Estimate) else str(entry)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("\\", "\\\\").replace("|", "\\|") for cell in cells) + " |"

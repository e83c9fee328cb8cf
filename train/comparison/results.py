"""The finished runs of a comparison, and what its tables are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train.comparison.config import CellResult, CompareConfig
from train.comparison.measured import Measured, measured
from train.comparison.paper import Cell, PaperTable
from train.comparison.source import DataSource
from train.evaluation.evaluate import read_predictions
from train.evaluation.figures import Figure
from train.evaluation.metrics import Bools, Floats, Measures, unit_weights
from train.evaluation.tables import Estimate, Table, TableEntry, TableRow, estimates
from train.labels.splits import Part

NO_VALUE = Estimate(math.nan)
RANDOM = {
    "scores": "Random: expected value of scores that see nothing. Genre frequencies: every video gets the "
    "shares of the genres.",
    "every": "Random: every video gets every genre.",
}
ZERO_SHOT = "zero-shot tags"
SPACES_AT_ONCE = 8  # bounds memory: a table of a space looks at two, of each seed


@dataclass(frozen=True)
class Made:
    """A table, and a picture of it, if it has one."""

    table: Table
    picture: bytes | None = None


@dataclass(frozen=True)
class EmbeddedVideos:
    """A part of a run's videos in its space: ``vectors`` (videos, width), ``target`` and ``score`` (videos,
    genres).
    """

    ids: tuple[str, ...]
    genres: tuple[str, ...]
    vectors: NDArray[np.float32]
    target: Bools
    score: Floats
    groups: tuple[str, ...] | None


class Results:
    """The runs of a comparison that can be measured, looked up by what the rows of the tables name."""

    def __init__(
        self, config: CompareConfig, found: Sequence[CellResult], source: DataSource | None = None
    ) -> None:
        self.config = config
        self._source = source
        self.paper = config.shown
        self.failed = [result for result in found if not result.measured]
        self.runs = {result.cell: result.measured for result in found if result.measured}
        self.space = lru_cache(SPACES_AT_ONCE)(self._space)
        self.zero_shot = cache(self._zero_shot)

    @property
    def some(self) -> Measured:
        """Any of the runs, for what is the same in all."""
        return next(iter(self.runs.values()))

    @property
    def source(self) -> DataSource:
        assert self._source is not None, "this table looks at more than runs: give compare a source"
        return self._source

    def of(self, cell: Cell, part: Part = "test") -> list[Measured]:
        """One for each seed, without those that failed, measured on a part of the videos."""
        cells = (replace(cell, seed=seed) for seed in self.config.seeds)
        runs = [self.runs[each] for each in cells if each in self.runs]
        return runs if part == "test" else [measured(run.run, run.scoring, part) for run in runs]

    def trained(self, paper_table: PaperTable) -> bool:
        """Whether any row of a table has a run."""
        return any(self.of(row.cell) for row in self.config.rows(paper_table))

    def spaces(self, cell: Cell, part: Part = "test") -> list[EmbeddedVideos]:
        """That of each seed."""
        return [self.space(run.run, part) for run in self.of(cell)]

    def runs_of_a_seed(self, paper_table: PaperTable) -> tuple[int, dict[str, Measured]] | None:
        """The first seed that all rows have, and each row's run."""
        rows = self.config.rows(paper_table)
        for seed in self.config.seeds:
            runs = {row.name: self.runs.get(replace(row.cell, seed=seed)) for row in rows}
            if all(runs.values()):
                return seed, {name: run for name, run in runs.items() if run}
        return None

    def spaces_of_a_seed(self, paper_table: PaperTable) -> tuple[int, dict[str, EmbeddedVideos]] | None:
        """The same, and each row's space of the test split."""
        found = self.runs_of_a_seed(paper_table)
        if found is None:
            return None
        return found[0], {name: self.space(run.run, "test") for name, run in found[1].items()}

    def estimates(self, runs: Sequence[Measured]) -> dict[str, Estimate]:
        names = runs[0].figures if runs else ()
        same = same_videos(runs)
        return {
            name: Estimate.of(
                [run.figures[name].value for run in runs],
                [run.replicates[name] for run in runs] if same else (),
                self.config.scoring.confidence,
            )
            for name in names
        }

    def entries(self, paper_table: PaperTable, runs: Sequence[Measured]) -> tuple[TableEntry, ...]:
        """The columns of a paper's table, and how many runs are behind them."""
        return (*estimates(self.paper.columns(paper_table), self.estimates(runs)), self.count(runs))

    def count(self, runs: Sequence[Measured] | Sequence[EmbeddedVideos]) -> str:
        """How many of the seeds there are."""
        return f"{len(runs)}/{len(self.config.seeds)}"

    def baselines(self, paper_table: PaperTable) -> list[TableRow]:
        """Rows of the classifiers that see nothing, by the labels of the part."""
        terms = self.paper.columns(paper_table)
        some = self.some_of(paper_table.part)
        if paper_table.random == "every":
            return [("random", estimates(terms, {n: Estimate(v) for n, v in every_genre(some)[0].items()}))]
        kinds: dict[str, Callable[[Figure], float]] = {
            "random": lambda figure: figure.random,
            "genre frequencies": lambda figure: figure.frequency,
        }
        rows = [
            (name, estimates(terms, {t: Estimate(value(f)) for t, f in some.figures.items()}))
            for name, value in kinds.items()
        ]
        untrained = self.zero_shot(paper_table.part)
        return rows + ([(ZERO_SHOT, estimates(terms, untrained))] if untrained else [])

    def _zero_shot(self, part: Part) -> dict[str, Estimate]:
        """Figures of the store's tags that are named as the genres; empty where it has not one for each."""
        some = self.some_of(part)
        known = some.predictions
        scores = None if self._source is None else self._source.zero_shot(known.ids, known.genres)
        if scores is None:
            return {}
        target = np.asarray(known.target, bool)
        measures = Measures(target, scores, thresholds=some.scoring.thresholds)
        overall, _ = measures.figures(unit_weights(len(target)))
        return {name: Estimate(float(values[0])) for name, values in overall.items()}

    def some_of(self, part: Part) -> Measured:
        """Any of the runs, measured on a part of the videos."""
        some = self.some
        return some if part == "test" else measured(some.run, some.scoring, part)

    def _space(self, run: Path, part: Part) -> EmbeddedVideos:
        known = read_predictions(run / "predictions.parquet", split=part)
        ids, vectors = self.source.embed(run, part)
        place: Mapping[str, int] = {name: number for number, name in enumerate(ids)}
        order = [place[name] for name in known.ids]
        target, score = np.asarray(known.target, bool), np.asarray(known.score)
        return EmbeddedVideos(known.ids, known.genres, vectors[order], target, score, known.groups)

    def table(
        self,
        paper_table: PaperTable,
        columns: Sequence[str],
        rows: Iterable[TableRow],
        baselines: Iterable[TableRow] = (),
        notes: tuple[str, ...] = (),
    ) -> Table:
        """A table of the paper with what was found for it."""
        name, title, key = paper_table.name, self.title(paper_table), paper_table.key
        return Table(name, title, key, tuple(columns), tuple(rows), tuple(baselines), notes)

    def title(self, paper_table: PaperTable) -> str:
        config = self.config
        model = config.models[0] if config.models else ""
        what = paper_table.title.format(model=model, experts=", ".join(config.experts))
        return f"{paper_table.number}: {what}"

    def notes(self, paper_table: PaperTable, *sentences: str, decisions: bool = True) -> tuple[str, ...]:
        """What a reader must know of the figures; ``sentences`` in place of the usual ones, if any."""
        videos = sorted({run.videos for run in self.runs.values()})
        threshold = self.paper.threshold
        said = f"; decisions at a score of {threshold:g}" if decisions and threshold is not None else ""
        about = " ".join(sentences) or RANDOM[paper_table.random]
        part = paper_table.part
        count = videos[-1] if part == "test" else self.some_of(part).videos
        notes = [f"{count} {part} videos{said}. {self.spread()} {about}"]
        if len(videos) > 1:
            notes.append(
                f"The rows were measured on different test videos ({', '.join(map(str, videos))} of them), "
                "since not every video has every expert: part of the differences is due to the videos."
            )
        return (*notes, *self.left_out(paper_table))

    def spread(self, over: str = "bootstrap interval over videos") -> str:
        """What is said of how far a figure may move."""
        seeds, confidence = len(self.config.seeds), f"{self.config.scoring.confidence:.0%}"
        if seeds > 1:
            return (
                f"± is the standard deviation over {seeds} seeds; the CSV also has the {confidence} {over}."
            )
        return f"In brackets is the {confidence} {over}."

    def left_out(self, paper_table: PaperTable) -> list[str]:
        """What the store lacks of a table."""
        missing = self.config.missing
        lines = [f'The store has no {", ".join(missing)}: "all" leaves them out.'] if missing else []
        if not paper_table.rows:
            return []
        without = [f"{row.name} ({lack})" for row, lack in self.config.all_rows(paper_table) if lack]
        return lines + ([f"Left out: {'; '.join(without)}."] if without else [])


def spread_over(count: int, most: int) -> list[int]:
    """At most so many of ``count`` places, evenly spread."""
    return np.unique((2 * np.arange(most) + 1) * count // (2 * most)).tolist() if count else []


def same_videos(runs: Iterable[Measured]) -> bool:
    """Whether all were measured on as many videos, which then are the same."""
    return len({run.videos for run in runs}) == 1


def term_of(results: Results, paper_table: PaperTable) -> tuple[str, str]:
    """The one figure that a table shows: ours, and the paper's name of it."""
    figure = paper_table.figure or results.paper.headline
    terms = results.paper.columns(paper_table)
    return figure, next((term for term, ours in terms.items() if ours == figure), figure)


def every_genre(run: Measured) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Figures where every video gets every genre: of all genres, and genre -> name -> value."""
    known = run.predictions
    target = np.asarray(known.target, bool)
    overall, by_genre = Measures(target, np.ones(target.shape), thresholds=run.scoring.thresholds).figures(
        unit_weights(len(target))
    )
    each = {
        genre: {name: float(values[place, 0]) for name, values in by_genre.items()}
        for place, genre in enumerate(known.genres)
    }
    return {name: float(values[0]) for name, values in overall.items()}, each

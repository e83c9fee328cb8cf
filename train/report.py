"""The tables of a comparison: Sulun et al. 2024's Tables 1 to 3 and Figure 6, of finished runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline.atomic import atomic
from train.bootstrap import interval
from train.compare import Cell, CompareConfig, Outcome
from train.evaluate import Figure
from train.figures import lines, points
from train.measured import Measured
from train.tables import SULUN_2024, Entry, Estimate, Row, Table, estimates

HEADLINE = "ap_macro"
NO_VALUE = Estimate(math.nan)


class Results:
    """The runs of a comparison that can be measured, looked up by what the rows of the tables name."""

    def __init__(self, config: CompareConfig, outcomes: Sequence[Outcome]) -> None:
        self.config = config
        self.failed = [outcome for outcome in outcomes if not outcome.measured]
        self.runs = {outcome.cell: outcome.measured for outcome in outcomes if outcome.measured}

    def of(self, experts: tuple[str, ...], model: str, steps: int | None = None) -> list[Measured]:
        """One for each seed, without those that failed."""
        cells = (Cell(experts, model, seed, steps) for seed in self.config.seeds)
        return [self.runs[cell] for cell in cells if cell in self.runs]

    def estimates(self, runs: Sequence[Measured]) -> dict[str, Estimate]:
        names = runs[0].figures if runs else ()
        same = len({run.videos for run in runs}) == 1
        return {
            name: Estimate.of(
                [run.figures[name].value for run in runs],
                [run.replicates[name] for run in runs] if same else (),
                self.config.scoring.confidence,
            )
            for name in names
        }

    def row(self, runs: Sequence[Measured]) -> tuple[Entry, ...]:
        """The columns of a paper's table, and how many runs are behind them."""
        return (
            *estimates(SULUN_2024, self.estimates(runs)),
            f"{len(runs)}/{len(self.config.seeds)}",
        )

    def baselines(self) -> list[Row]:
        """Rows of the classifiers that see nothing, by the labels of the test split."""
        figures = next(iter(self.runs.values())).figures
        kinds: dict[str, Callable[[Figure], float]] = {
            "random": lambda figure: figure.random,
            "genre frequencies": lambda figure: figure.frequency,
        }
        return [
            (name, (*estimates(SULUN_2024, {t: Estimate(value(f)) for t, f in figures.items()}), ""))
            for name, value in kinds.items()
        ]

    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the figures."""
        scoring, seeds = self.config.scoring, len(self.config.seeds)
        videos = sorted({run.videos for run in self.runs.values()})
        spread = (
            f"± is the standard deviation over {seeds} seeds; the CSV also has the "
            if seeds > 1
            else "In brackets is the "
        )
        notes = [
            f"{videos[-1]} test videos; decisions at a score of 0.5. {spread}{scoring.confidence:.0%} "
            "bootstrap interval over videos. "
            "Random: expected value of scores that see nothing. Genre frequencies: every video gets the "
            "shares of the genres."
        ]
        if len(videos) > 1:
            notes.append(
                f"The rows were measured on different test videos ({', '.join(map(str, videos))} of them), "
                "since not every video has every expert: a part of their differences is that of the videos."
            )
        return tuple(notes)


def experts_table(results: Results) -> Table:
    """Table 1: each expert alone, and all."""
    config = results.config
    model = config.models[0]
    rows = [(expert, results.row(results.of((expert,), model))) for expert in config.experts]
    rows.append(("all", results.row(results.of(config.experts, model))))
    return _table(results, "table1", f"Table 1: single experts and all, {model}", "experts", rows)


def models_table(results: Results) -> Table:
    """Table 2: every model on all experts."""
    config = results.config
    rows: list[Row] = []
    for model in config.models:
        runs = results.of(config.experts, model)
        sizes = sorted({run.parameters for run in runs if run.parameters is not None})
        rows.append((model, (*results.row(runs), ", ".join(f"{size:,}" for size in sizes))))
    title = f"Table 2: models on {', '.join(config.experts)}"
    return _table(results, "table2", title, "model", rows, more=("parameters",))


def ablation_table(results: Results) -> Table:
    """Table 3: all experts but one, how much that costs, and the time of a training."""
    config = results.config
    model = config.models[0]
    named = [("all", config.experts)]
    named += [(f"without {e}", rest) for e, rest in zip(config.experts, config.without(), strict=True)]
    rows: list[Row] = []
    for name, experts in named:
        runs = results.of(experts, model)
        change = difference(results, experts, model) if experts != config.experts else ""
        seconds = Estimate.of([run.seconds for run in runs if not math.isnan(run.seconds)])
        rows.append((name, (*results.row(runs), change, seconds)))
    title = f"Table 3: leaving one expert out, {model}"
    return _table(results, "table3", title, "experts", rows, more=("change of mAP macro", "seconds"))


def difference(results: Results, experts: tuple[str, ...], model: str) -> Estimate:
    """The headline figure of ``experts`` minus that of all, over the seeds that both have; paired interval.

    Both have the same resamples of the same videos, so the difference is taken resample by resample.
    """
    config = results.config
    cells = [(Cell(experts, model, seed), Cell(config.experts, model, seed)) for seed in config.seeds]
    pairs = [
        (results.runs[part], results.runs[whole])
        for part, whole in cells
        if part in results.runs and whole in results.runs
    ]
    if not pairs:
        return NO_VALUE
    value = float(np.mean([a.figures[HEADLINE].value - b.figures[HEADLINE].value for a, b in pairs]))
    if len({run.videos for pair in pairs for run in pair}) > 1:
        return Estimate(value)
    drawn = np.mean([a.replicates[HEADLINE] - b.replicates[HEADLINE] for a, b in pairs], axis=0)
    low, high = interval(value, drawn, confidence=config.scoring.confidence, bounds=(-1, 1))
    return Estimate(value, math.nan, float(low), float(high))


def steps_table(results: Results) -> tuple[Table, bytes]:
    """Figure 6: the number of steps (frames) of each expert alone against mAP, and its picture."""
    config = results.config
    series: dict[str, list[tuple[int, Estimate]]] = {}
    rows: list[Row] = []
    for expert in config.experts:
        for steps in config.steps:
            runs = results.of((expert,), config.models[0], steps)
            estimate = results.estimates(runs).get(HEADLINE, NO_VALUE)
            series.setdefault(expert, []).append((steps, estimate))
            rows.append((expert, (steps, estimate, f"{len(runs)}/{len(config.seeds)}")))
    figures = next(iter(results.runs.values())).figures
    random = figures[HEADLINE].random
    chance: Row = ("random", ("", Estimate(random), ""))
    picture = lines(series, label="mAP macro", steps="steps of the expert (at most)", random=random)
    title = f"Figure 6: number of steps against mAP, {config.models[0]} on one expert"
    columns = ("steps", "mAP macro", "runs")
    table = Table("figure6", title, "expert", columns, tuple(rows), (chance,), results.notes())
    return table, picture


def write_report(config: CompareConfig, outcomes: Sequence[Outcome]) -> Path:
    """Each table as Markdown, CSV and SVG, and ``report.md`` with all of them; its path."""
    results = Results(config, outcomes)
    makers: dict[str, Callable[[Results], Table]] = {
        "experts": experts_table,
        "models": models_table,
        "ablation": ablation_table,
    }
    parts = []
    for name in config.tables:
        if name == "steps":
            table, picture = steps_table(results)
        else:
            table = makers[name](results)
            picture = _points(table)
        markdown = table.markdown() + f"\n![{table.title}]({table.name}.svg)\n"
        for suffix, content in (
            ("md", markdown.encode()),
            ("csv", table.csv().encode()),
            ("svg", picture),
        ):
            with atomic(config.out / f"{table.name}.{suffix}") as path:
                path.write_bytes(content)
        parts.append(markdown)
    if results.failed:
        failed = "\n".join(f"- {outcome.cell.label}: {outcome.error}" for outcome in results.failed)
        parts.append(f"## Runs that failed\n\nThe same command tries them again.\n\n{failed}\n")
    report = config.out / "report.md"
    with atomic(report) as path:
        path.write_text("\n".join(parts), "utf-8")
    return report


def _table(
    results: Results,
    name: str,
    title: str,
    key: str,
    rows: Sequence[Row],
    more: tuple[str, ...] = (),
) -> Table:
    """A table with a paper's columns and the baselines below."""
    blind = [(row, (*entries, *("" for _ in more))) for row, entries in results.baselines()]
    columns = (*SULUN_2024, "runs", *more)
    return Table(name, title, key, columns, tuple(rows), tuple(blind), results.notes())


def _points(table: Table) -> bytes:
    """The headline column as a picture."""
    column = list(SULUN_2024.values()).index(HEADLINE)
    rows, blind = (
        [(name, entry) for name, entries in part if isinstance(entry := entries[column], Estimate)]
        for part in (table.rows, table.baselines)
    )
    return points(rows, label="mAP macro", baselines={name: entry.mean for name, entry in blind})

"""Precision over recall of all genres pooled, a curve for each training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from train.comparison.measured import Measured
from train.comparison.paper import PaperTable
from train.comparison.results import NO_VALUE, Made, Results, same_videos, term_of
from train.evaluation.bootstrap import CELLS_AT_ONCE, resample_weights
from train.evaluation.metrics import Floats, Measures, unit_weights
from train.evaluation.svg import lines
from train.evaluation.tables import Estimate, Table, TableRow

RECALLS = np.linspace(0, 1, 101)
SHOWN = tuple(range(10, 100, 10))  # of these, in the table


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    figure, term = term_of(results, paper_table)
    rows: list[TableRow] = []
    series: dict[str, list[tuple[float, Estimate]]] = {}
    for row in results.config.rows(paper_table):
        runs = results.of(row.cell)
        area = results.estimates(runs).get(figure, NO_VALUE)
        curve = _curve(results, runs)
        rows.append((row.name, (area, *(curve[place] for place in SHOWN), results.count(runs))))
        series[f"{row.name}: {area.mean:.3f}"] = list(zip(RECALLS.tolist(), curve, strict=True))
    share = _share(results.some)
    random = Estimate(results.some.figures[figure].random)
    blind: TableRow = ("random", (random, *(Estimate(share) for _ in SHOWN), ""))
    notes = results.notes(
        paper_table,
        "Precision is that of the first place that reaches a recall, of all (video, genre) cells in one "
        "order. Random: expected value of scores that see nothing, and the share of cells that are true.",
        decisions=False,
    )
    columns = (term, *(f"at recall {RECALLS[place]:.1f}" for place in SHOWN), "runs")
    table = Table(
        paper_table.name, results.title(paper_table), paper_table.key, columns, tuple(rows), (blind,), notes
    )
    yield Made(table, lines(series, label="precision", steps="recall", random=share, log=False))


def _share(run: Measured) -> float:
    return float(np.asarray(run.predictions.target, bool).mean())


def _curve(results: Results, runs: Sequence[Measured]) -> list[Estimate]:
    """Precision at each recall: the mean over the runs, with its interval."""
    if not runs:
        return [NO_VALUE] * len(RECALLS)
    found = [_precision(run) for run in runs]
    same, confidence = same_videos(runs), results.config.scoring.confidence
    return [
        Estimate.of(
            [float(value[place]) for value, _ in found],
            [drawn[place] for _, drawn in found] if same else (),
            confidence,
        )
        for place in range(len(RECALLS))
    ]


def _precision(run: Measured) -> tuple[Floats, Floats]:
    """At each recall, (recalls,), and of every resample, (recalls, resamples)."""
    known, scoring = run.predictions, run.scoring
    ranking = Measures(known.target, known.score).pooled_ranking
    videos = len(known.ids)
    blocks = resample_weights(
        videos,
        resamples=scoring.resamples,
        seed=scoring.seed,
        groups=known.groups,
        at_once=max(1, CELLS_AT_ONCE // len(ranking.videos)),
    )
    drawn = [ranking.precision_at(RECALLS, weights) for weights in blocks]
    value = ranking.precision_at(RECALLS, unit_weights(videos))[:, 0]
    return value, np.concatenate(drawn, axis=1)

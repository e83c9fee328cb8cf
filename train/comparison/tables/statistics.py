"""What the data is like: how common genres are, how many a video has, from which years the videos are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from extract.errors import count
from train.comparison.paper import PaperTable
from train.comparison.results import Made, Results
from train.evaluation.svg import bars
from train.evaluation.tables import Table, TableRow


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    data = results.source.dataset()
    each = data.target.sum(axis=1)
    counts = {
        "videos by genre": {data.genres[i]: int(data.target[:, i].sum()) for i in data.by_frequency},
        "videos by number of genres": {str(n): int((each == n).sum()) for n in np.unique(each).tolist()},
        "videos by year": {str(year): count for year, count in sorted(data.years.items())},
    }
    shown = {name: values for name, values in counts.items() if values and name[10:] in paper_table.more}
    rows: list[TableRow] = [
        (name.removeprefix("videos by "), (value, count))
        for name, values in shown.items()
        for value, count in values.items()
    ]
    notes = [f"{count(len(each), 'labelled video')} of which the store has something."]
    if "year" in paper_table.more and not data.years:
        notes.append("The labels have no column year.")
    title = results.title(paper_table)
    table = Table(
        paper_table.name, title, paper_table.key, ("value", "videos"), tuple(rows), (), tuple(notes)
    )
    yield Made(table, bars(shown))

"""How large the data is: videos, frames, genres, and how many genres a video has at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from train.comparison.paper import PaperTable
from train.comparison.results import Made, Results
from train.evaluation.tables import Table, TableEntry
from train.labels.splits import Part


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    data = results.source.dataset()
    entries: dict[str, TableEntry] = {
        "trailers": len(data.target),
        "genres": len(data.genres),
        "labels at most": int(data.target.sum(axis=1).max(initial=0)),
        "frames": "" if data.frames is None else f"{data.frames:,}",
    }
    entries |= {part: len(data.part(part)) for part in get_args(Part)}
    notes = ("Labelled videos of which the store has something.",)
    title = results.title(paper_table)
    rows = (("yours", tuple(entries.values())),)
    yield Made(Table(paper_table.name, title, paper_table.key, tuple(entries), rows, (), notes))

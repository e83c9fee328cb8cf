"""The tables of a comparison, written: Markdown, CSV and SVG of each, and a page with all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import train.comparison.tables
from extract.errors import MarqueeError
from extract.plugins import Plugins
from pipeline.storage.atomic import atomic
from train.comparison.config import CellResult, CompareConfig
from train.comparison.paper import PaperTable
from train.comparison.results import Made, Results
from train.comparison.source import DataSource
from train.comparison.stated import MARK, beside, stated_table
from train.evaluation.tables import Table

TABLES = Plugins(train.comparison.tables, "kind of table")


def write_report(
    config: CompareConfig, found: Sequence[CellResult], source: DataSource | None = None
) -> Path:
    """Each table as Markdown, CSV and SVG, and ``report.md`` with all of them; its path."""
    results = Results(config, found, source)
    parts = [
        _written(config.out, made)
        for paper_table in config.paper_tables
        for made in made_of(results, paper_table)
    ]
    if results.failed:
        final = " (its options are at fault: it is not tried again)"
        failed = "\n".join(
            f"- {result.cell.label}: {result.error}{final if result.by_options else ''}"
            for result in results.failed
        )
        parts.append(f"## Runs that failed\n\nThe same command tries them again.\n\n{failed}\n")
    report = config.out / "report.md"
    with atomic(report) as path:
        path.write_text("\n".join(parts), "utf-8")
    return report


def made_of(results: Results, paper_table: PaperTable) -> list[Made]:
    """What a table's kind makes of it, with the paper's own figures in the first one.

    One that cannot be made says why, and the others are written.
    """
    first, *others = _made(results, paper_table)
    stated = stated_table(results.config.paper, paper_table.name)
    if stated is None:
        return [first, *others]
    told = (
        f"Rows with {MARK.strip()} are what the paper prints ({results.paper.title}, {paper_table.number}), "
        f"measured on its own data: no target for other data. {paper_table.remark}"
    )
    return [replace(first, table=beside(first.table, stated, told.strip())), *others]


def _made(results: Results, paper_table: PaperTable) -> list[Made]:
    empty = Table(paper_table.name, results.title(paper_table), paper_table.key, (), ())
    if paper_table.rows and not results.trained(paper_table):
        return [Made(replace(empty, notes=tuple(results.left_out(paper_table))))]
    try:
        return list(TABLES.attribute(paper_table.kind, "make")(results, paper_table))
    except MarqueeError as error:
        return [Made(replace(empty, notes=(f"It could not be made: {error}",)))]


def _written(out: Path, made: Made) -> str:
    """The Markdown of what has been written."""
    table = made.table
    markdown = table.markdown()
    if made.picture is not None:
        markdown += f"\n![{table.title}]({table.name}.svg)\n"
    contents = {"md": markdown.encode(), "csv": table.csv().encode(), "svg": made.picture}
    for suffix, content in contents.items():
        if content is not None:
            with atomic(out / f"{table.name}.{suffix}") as path:
                path.write_bytes(content)
    return markdown

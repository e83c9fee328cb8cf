"""The tables of a comparison, written: Markdown, CSV and SVG of each, and a page with all."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from extract.errors import MarqueeError
from pipeline.storage.atomic import atomic
from train.comparison.config import CompareConfig, Embed, Outcome
from train.comparison.paper import Exhibit
from train.comparison.results import Made, Results
from train.evaluation.tables import Table


def write_report(config: CompareConfig, outcomes: Sequence[Outcome], embed: Embed | None = None) -> Path:
    """Each table as Markdown, CSV and SVG, and ``report.md`` with all of them; its path."""
    results = Results(config, outcomes, embed)
    parts = [_written(config.out, made) for exhibit in config.exhibits for made in made_of(results, exhibit)]
    if results.failed:
        failed = "\n".join(f"- {outcome.cell.label}: {outcome.error}" for outcome in results.failed)
        parts.append(f"## Runs that failed\n\nThe same command tries them again.\n\n{failed}\n")
    report = config.out / "report.md"
    with atomic(report) as path:
        path.write_text("\n".join(parts), "utf-8")
    return report


def made_of(results: Results, exhibit: Exhibit) -> list[Made]:
    """What an exhibit's kind makes of it; one that cannot be made says why, and the others are written."""
    empty = Table(exhibit.name, results.title(exhibit), exhibit.key, (), ())
    if not results.config.rows(exhibit):
        return [Made(replace(empty, notes=tuple(results.left_out(exhibit))))]
    try:
        return list(
            importlib.import_module(f"train.comparison.exhibits.{exhibit.kind}").make(results, exhibit)
        )
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

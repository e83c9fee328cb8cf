"""What the command line prints about the contents of stores: ``describe``, ``cite``, ``summary``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from extract.errors import command, count
from extract.terminal import console as beside
from extract.terminal import make_table, print_line, print_next
from pipeline.about.cite import cite
from pipeline.about.describe import ColumnFacts, TableFacts, describe, describe_experts
from pipeline.about.summary import MEANINGS, Summary, summarise
from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.location import Location
from pipeline.storage.names import check_suffix
from pipeline.store.layout import open_store

OUTLIERS_SHOWN = 10


def print_description(out: Location | None, table: str | None, console: Console, *, markdown: bool) -> None:
    """Every table and column of a store, or of what all experts make."""
    tables = describe_experts() if out is None else describe(open_store(out), table)
    if markdown:
        for line in markdown_of(tables):
            print_line(console, line)
        return
    for facts in tables:
        _print_table(facts, console)
    if out is None:
        print_next(console, command("extract", "VIDEOS", "--preset", "offline"))
    elif table is None:
        print_next(console, command("cite", out), command("summary", out))
    else:
        print_next(console, command("export", out, "--to", "csv"))


def markdown_of(tables: Sequence[TableFacts]) -> list[str]:
    """The same as lines of a document: a section and a table of columns for each."""
    lines = []
    for facts in tables:
        lines += [
            f"## {facts.name}",
            "",
            f"{facts.meaning[0].upper()}{facts.meaning[1:]}{_made_by(facts)}.",
            "",
        ]
        lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
        for column in facts.columns:
            meaning = column.meaning.replace("|", "\\|").replace("<", "&lt;")
            lines.append(f"| `{column.name}` | {_type(column)} | {column.unit} | {meaning} |")
        lines.append("")
    return lines[:-1]


def print_citations(out: Location, console: Console) -> None:
    """BibTeX, which can be redirected into a file; licences are its comments."""
    found = cite(open_store(out))
    for licence in found.licences:
        print_line(console, f"% {licence.expert}: {licence.file}, {licence.licence}")
    for name in found.unknown:
        print_line(console, f"% {name}: not an expert of this installation, cite its source yourself")
    for entry in found.entries.values():
        for line in ("", *entry.splitlines()):
            print_line(console, line)
    print_next(beside(stderr=True), command("cite", out) + " > references.bib")


def print_summary(out: Location, path: Path | None, console: Console) -> None:
    """The corpus in a table, languages, and the videos that stand out; with ``path``, each video as CSV."""
    if path is not None:
        check_suffix(path, ".csv")
    found = summarise(open_store(out))
    table = make_table("figure", "videos", "mean", "median", "5 %", "95 %")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in found.figures:
        one = found.distribution(name)
        values = (one.mean, one.median, one.low, one.high)
        table.add_row(name, str(one.videos), *(_figure(value) for value in values))
    console.print(table)
    _print_languages(found, console)
    outliers = found.outliers()
    for one_off in outliers[:OUTLIERS_SHOWN]:
        far = f"{abs(one_off.z):.1f} robust deviations {'above' if one_off.z > 0 else 'below'} the median"
        print_line(console, f"outlier: {one_off.video_id}: {one_off.figure} {_figure(one_off.value)}, {far}")
    if len(outliers) > OUTLIERS_SHOWN:
        print_line(console, f"{count(len(outliers) - OUTLIERS_SHOWN, 'more outlier')}")
    for name in found.figures:
        print_line(console, f"{name}: {MEANINGS[name]}")
    if path is not None:
        _write_csv(found, path)
        print_line(console, f"{count(len(found.video_ids), 'video')} in {path}")
    else:
        print_next(console, command("summary", out, "--out", "summary.csv"))
    print_next(console, command("report", out, "--out", "pages"))


def _print_languages(found: Summary, console: Console) -> None:
    videos: dict[str, int] = {}
    for codes in found.languages.values():
        for code in codes[:1]:
            videos[code] = videos.get(code, 0) + 1
    if videos:
        said = ", ".join(f"{code} {n}" for code, n in sorted(videos.items(), key=lambda pair: -pair[1]))
        print_line(console, f"videos by the language most spoken: {said}")


def _write_csv(found: Summary, path: Path) -> None:
    columns = found.table().to_pydict()
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        write_csv(file, columns, zip(*columns.values(), strict=True))


def _print_table(facts: TableFacts, console: Console) -> None:
    console.print(
        f"{facts.name}{_made_by(facts)}", style="bold", markup=False, soft_wrap=True, highlight=False
    )
    print_line(console, facts.meaning)
    if facts.rows is not None:
        rows = "" if facts.rows == facts.videos else f"{count(facts.rows, 'row')} of "
        print_line(console, f"{rows}{count(facts.videos or 0, 'video')}")
    table = make_table("column", "type", "unit", "meaning")
    for column in facts.columns:
        table.add_row(column.name, _type(column), column.unit, column.meaning)
    console.print(table, markup=False)
    print_line(console, "")


def _made_by(facts: TableFacts) -> str:
    return f", by {facts.source}" if facts.source else ""


def _type(column: ColumnFacts) -> str:
    shape = f" [{' x '.join(map(str, column.shape))}]" if column.shape else ""
    return f"{column.type}{shape}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"

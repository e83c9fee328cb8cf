"""What every table and column of a store means, from the footers of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from extract.declarations import TableSpec
from extract.errors import unknown
from extract.registry import expert_names, make_expert
from extract.tables import embedding_dtype
from extract.types import FACTS, Column
from pipeline.store.coverage import COVERAGE_SCHEMA, FAILURES_SCHEMA, IGNORED_SCHEMA
from pipeline.store.footer import SHARED_COLUMNS, Footer
from pipeline.store.layout import Store
from pipeline.store.reading import current_parts, valid_parts
from pipeline.store.videos import members_of, read_shards

_UNITS = {"_seconds": "s", "_degrees": "degrees", "_hz": "Hz", "_bpm": "beats/min"}
_UNITS_OF = {
    "fps": "1/s", "bytes": "bytes", "sample_rate": "Hz", "width": "pixels", "height": "pixels",
    "stored_width": "pixels", "stored_height": "pixels", "duration_seconds": "s",
}  # fmt: skip
_VIDEOS = (
    SHARED_COLUMNS[0],
    Column("path", "string", "relative to the videos folder, with suffix"),
    Column("path_bytes", "string", "the same as bytes, where it is not UTF-8"),
    Column("bytes", "int64", "size of the file"),
    *FACTS,
)
_DERIVED = {
    "coverage": ("how every expert went on every video", COVERAGE_SCHEMA),
    "failures": ("what failed, and why", FAILURES_SCHEMA),
    "ignored": ("what lay in the videos folder and is not an input", IGNORED_SCHEMA),
}
_MEANINGS = {
    "expert": "name of the expert", "state": "ok, absent (nothing there) or failed",
    "rows": "rows that it has of the video",
    "reason": "why it is not ok, or not an input", "stage": "where it failed: open, decode, compute, ...",
    "error_type": "class of the error", "message": "what was wrong", "attempts": "runs that failed",
    "path": "relative to the videos folder", "path_bytes": "the same as bytes where it is not UTF-8",
    "bytes": "size of the file",
}  # fmt: skip


@dataclass(frozen=True)
class ColumnFacts:
    """A column: its Arrow type, its unit where it has one, its shape where a cell is a vector."""

    name: str
    type: str
    meaning: str
    unit: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class TableFacts:
    """A table: what it is, what its rows were made by, how many there are (None: of no store)."""

    name: str
    meaning: str
    columns: tuple[ColumnFacts, ...]
    source: str = ""
    rows: int | None = None
    videos: int | None = None


def describe(store: Store, table: str | None = None) -> list[TableFacts]:
    """The current tables of a store, or one of them. Raises UsageError for a table that it does not have."""
    members = members_of(store)
    targets = {name: target for target in store.targets() for name in target.tables}
    names = ["videos", *sorted(targets), *_DERIVED]
    if table is not None and table not in names:
        raise unknown(f"{str(store.root)!r} has no table", table, names, have="it has")
    found = []
    for name in names if table is None else [table]:
        if name in targets:
            footers = [footer for _, footer in valid_parts(store, current_parts(store, name), members)]
            if footers:
                found.append(_of_footers(footers))
        else:
            found.append(_own(store, name))
    return found


def describe_experts() -> list[TableFacts]:
    """The tables of all experts with their default options, and those that every store has."""
    found = [_own(None, "videos")]
    for name in expert_names():
        expert = make_expert(name)
        for table, spec in expert.tables().items():
            found.append(TableFacts(table, expert.summary, columns_of(spec, "float16"), source=name))
    return [*found, *(_own(None, name) for name in _DERIVED)]


def columns_of(spec: TableSpec, dtype: Any) -> tuple[ColumnFacts, ...]:
    """All columns of a table of an expert, those that every table has among them."""
    columns = [*SHARED_COLUMNS, *spec.columns]
    facts = list(_facts(columns))
    if spec.embedding is not None:
        kind = embedding_dtype(spec, dtype)
        nan = "; NaN: not measured" if spec.embedding.nan else ""
        shape = spec.embedding.shape
        facts.append(ColumnFacts("embedding", f"list<{kind}>", f"vector of the row{nan}", shape=shape))
    return tuple(facts)


def _of_footers(footers: list[Footer]) -> TableFacts:
    header = footers[0].header
    states = [state for footer in footers for state in footer.videos.values()]
    return TableFacts(
        header.table,
        _summary(header.target.expert),
        columns_of(header.spec, header.dtype),
        source=_source(header.target.expert, header.target.made_of, header.target.notes),
        rows=sum(state.rows for state in states),
        videos=sum(state.state == "ok" for state in states),
    )


def _own(store: Store | None, name: str) -> TableFacts:
    if name == "videos":
        shards = [] if store is None else read_shards(store)
        videos = None if store is None else sum(len(shard.videos) for shard in shards)
        columns = tuple(_facts(_VIDEOS))
        return TableFacts(name, "what is known of every input", columns, rows=videos, videos=videos)
    meaning, schema = _DERIVED[name]
    columns = tuple(
        ColumnFacts(f.name, str(f.type), _MEANINGS.get(f.name, SHARED_COLUMNS[0].meaning)) for f in schema
    )
    return TableFacts(name, meaning, columns)


def _facts(columns: Iterable[Column]) -> Iterator[ColumnFacts]:
    for column in columns:
        suffix = next((unit for end, unit in _UNITS.items() if column.name.endswith(end)), "")
        yield ColumnFacts(column.name, column.type, column.meaning, unit=_UNITS_OF.get(column.name, suffix))


def _summary(expert: str) -> str:
    return make_expert(expert).summary if expert in expert_names() else "imported"


def _source(expert: str, made_of: Mapping[str, Any], notes: Mapping[str, Any]) -> str:
    """Expert and options, weights with the first digits of their hashes, as the footers record them."""
    settings = {k: v for k, v in made_of.get("settings", {}).items() if k != "version" and v is not None}
    said = ", ".join(f"{name}={_short(value)}" for name, value in settings.items())
    parts = [f"{expert} ({said})" if said else expert]
    files = notes.get("weights") or {}
    for role, digest in made_of.get("weights", {}).items():
        parts.append(f"{files.get(role, {}).get('file', role)} sha256 {digest[:12]}")
    if made_of.get("random_seed") is not None:
        parts.append(f"RANDOM WEIGHTS, seed {made_of['random_seed']}")
    return "; ".join(parts)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

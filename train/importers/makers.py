"""Imported features and the experts that are taken to have made them, so that a run can see a video.

What was imported does not say how it was made: the user does, ``--as TABLE=EXPERT:OPTION=VALUE,...``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from extract.errors import UsageError, unknown
from extract.registry import expert_names, make_expert, with_upstream
from train.errors import DataError

FORM = "--as TABLE=EXPERT or --as TABLE=EXPERT:OPTION=VALUE,OPTION=VALUE, as in --as clip=clip:resize=shorter"


@dataclass(frozen=True)
class Maker:
    """The expert that is taken to have made a table, and its options where they are not the defaults."""

    expert: str
    options: Mapping[str, str] = field(default_factory=dict)


def parse_makers(texts: Sequence[str]) -> dict[str, Maker]:
    """By table (or, for what others read from, by expert) what ``--as`` says. Raises UsageError."""
    makers: dict[str, Maker] = {}
    for text in texts:
        table, _, rest = text.partition("=")
        expert, colon, options = rest.partition(":")
        pairs = [part.partition("=") for part in options.split(",")] if colon else []
        if not (table and expert and all(name and equals for name, equals, _ in pairs)):
            raise UsageError(f"--as {text!r}; the form is {FORM}")
        if table in makers:
            raise UsageError(f"--as names {table!r} twice: give one maker for it")
        makers[table] = Maker(expert, {name: value for name, _, value in pairs})
    return makers


def recorded_experts(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a run's ``config`` says of the experts that made its tables, and of those that they read from."""
    return {name: entry for name, entry in config["experts"].items() if "settings" in entry["made_of"]}


def imported_tables(config: Mapping[str, Any]) -> list[str]:
    """The tables that a run reads and no recorded expert made."""
    made = {table for entry in recorded_experts(config).values() for table in entry["tables"]}
    return [name for name in config["inputs"] if name not in made]


def why_unknown(tables: Sequence[str]) -> str:
    """What to say of a run whose tables were imported, with the flags that are missing."""
    named, them = ", ".join(tables), "it" if len(tables) == 1 else "them"
    said = f"{named} {'was' if len(tables) == 1 else 'were'} imported, which does not say what made {them}"
    experts = {table: _experts_of(table) for table in tables}
    strange = [table for table, names in experts.items() if not names]
    if strange:
        return f"{said}, and no expert here makes {', '.join(strange)}: predict from a store that has {them}"
    flags = " ".join(f"--as {table}={names[0]}" for table, names in experts.items())
    return (
        f"{said}: predict from a store that has {them}, or say it: add {flags}, with what differs from an "
        "expert's default options, as in --as clip=clip:resize=shorter"
    )


def _experts_of(table: str) -> list[str]:
    """The experts that make such a table by their default options."""
    return [name for name in expert_names() if table in make_expert(name, {}).tables()]


def assumed_experts(config: Mapping[str, Any], makers: Mapping[str, Maker]) -> dict[str, dict[str, Any]]:
    """Experts that make the imported tables of a run, and those that they read from, with their options.

    Those that the run records are not among them. Raises DataError for a table without a maker, UsageError
    for a maker that makes no such table of that width, for one that is given two sets of options, and for one
    that the run records.
    """
    wanted, recorded = imported_tables(config), recorded_experts(config)
    left = [table for table in wanted if table not in makers]
    if left:
        raise DataError(why_unknown(left))
    chosen: dict[str, dict[str, Any]] = {}
    for table, maker in makers.items():
        if maker.expert not in expert_names():
            raise unknown(f"--as {table}: no expert", maker.expert, expert_names())
        if maker.expert in recorded:
            raise UsageError(
                f"--as {table}={maker.expert}: the run records how {maker.expert!r} was made; leave this out"
            )
        expert = make_expert(maker.expert, maker.options)
        if table in wanted:
            _check(table, config["inputs"][table], maker.expert, expert.tables())
        elif table != maker.expert:
            raise UsageError(
                f"--as {table}={maker.expert}: the run reads no {table!r}, but {', '.join(wanted)}"
            )
        if chosen.setdefault(maker.expert, dict(maker.options)) != maker.options:
            raise UsageError(f"--as gives {maker.expert!r} two sets of options: one video has one")
    names = with_upstream(list(chosen))
    return {name: chosen.get(name, {}) for name in names if name not in recorded}


def _check(table: str, width: int, expert: str, made: Mapping[str, Any]) -> None:
    shapes = {name: spec.embedding.shape for name, spec in made.items() if spec.embedding is not None}
    if table not in shapes:
        raise UsageError(f"--as {table}={expert}: {expert!r} makes {', '.join(shapes) or 'no vectors'}")
    made_width = 1
    for size in shapes[table]:
        made_width *= size
    if made_width != width:
        raise UsageError(f"--as {table}={expert}: its vectors have {made_width} values, the run's {width}")


def said_of(experts: Mapping[str, Mapping[str, Any]]) -> str:
    """What is assumed, in one line."""
    made = [
        f"{name} ({', '.join(f'{key}={value}' for key, value in options.items()) or 'default options'})"
        for name, options in experts.items()
    ]
    return f"assumed, as the run does not record it: imported features were made as by {', '.join(made)}"

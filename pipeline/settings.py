"""Presets of experts, and what is set over them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extract.errors import UsageError
from extract.options import convert
from extract.presets import Options, list_presets, merged, parse_set, read_preset

PRESETS = Path(__file__).parent / "presets"
DEFAULT_PRESET = "all"


@dataclass(frozen=True)
class Preset:
    name: str
    summary: str
    experts: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def preset_names() -> list[str]:
    return list_presets(PRESETS)


def load_preset(name: str) -> Preset:
    """A preset by name. Raises UsageError with the names that there are."""
    from extract.registry import expert_class, expert_names

    entry = read_preset(PRESETS, name)
    everything = entry["experts"] == "all"
    experts = (
        [known for known in expert_names() if not expert_class(known).on_request]
        if everything
        else entry["experts"]
    )
    return Preset(name, entry["summary"], tuple(experts), entry.get("options", {}))


def parse_assignments(assignments: Sequence[str]) -> Options:
    """``--set EXPERT.OPTION=VALUE`` by expert. Raises UsageError for another form."""
    return parse_set(assignments, "scenes.threshold=0.4")


def choose(
    *,
    preset: str | None,
    experts: Sequence[str] | None,
    layers: Iterable[Mapping[str, Mapping[str, Any]]],
) -> tuple[tuple[str, ...], Options]:
    """The experts to run and their options: the preset's, then each layer over it.

    Named experts without a preset run with their defaults; with one, they are a part of it. ``+NAME`` adds
    to the preset (the default one, if none is named) instead. Raises UsageError for an unknown preset or
    expert, and for experts that are not a list of names.
    """
    from extract.registry import with_upstream

    if experts is not None:
        experts = convert("--experts", tuple[str, ...], experts, texts=False)
    added = tuple(name.removeprefix("+") for name in experts or () if name.startswith("+"))
    if experts is not None and added:
        if len(added) < len(experts):
            named = ",".join(experts)
            raise UsageError(f"--experts {named}: write + before every name to add them, or before none")
        experts = None
    chosen = (
        load_preset(DEFAULT_PRESET if preset is None else preset)
        if preset is not None or experts is None
        else None
    )
    names = tuple(experts) if experts is not None else chosen.experts if chosen else ()
    names += tuple(name for name in added if name not in names)
    active = set(with_upstream(names))
    preset_options = chosen.options if chosen else {}
    kept = {name: values for name, values in preset_options.items() if name in active}
    return names, merged([kept, *layers])


def checked_folder(path: Path, flag: str) -> Path:
    """The folder or file that a flag names. Raises UsageError if it is not there."""
    if not os.path.lexists(path):
        raise UsageError(f"{flag} {path}: no such file or folder; give one that exists")
    return path

"""Presets, which are TOML files found by name, and options in layers, of which the later ones win."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from extract.errors import UsageError, unknown

Options = dict[str, dict[str, Any]]


def list_presets(folder: Path) -> list[str]:
    """Names of all presets of a folder, sorted; those of folders within have a "/"."""
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.toml"))


def read_preset(folder: Path, name: str) -> dict[str, Any]:
    """What a preset's file says. Raises UsageError with all names for one that is unknown."""
    names = list_presets(folder)
    if name not in names:
        raise unknown("no preset", name, names)
    return tomllib.loads((folder / f"{name}.toml").read_text("utf-8"))


def parse_set(assignments: Sequence[str], example: str) -> Options:
    """``["model.dropout=0.3", "clip.cap=100"]`` as ``{"model": {"dropout": "0.3"}, "clip": ...}``.

    Raises UsageError, with ``example``, for what has another form.
    """
    options: Options = {}
    for text in assignments:
        target, equals, value = text.partition("=")
        section, _, key = (part.strip() for part in target.rpartition("."))
        if not (equals and section and key):
            raise UsageError(f"--set {text!r}; the form is NAME.OPTION=VALUE, as in {example}")
        options.setdefault(section, {})[key] = value.strip()
    return options


def merged(layers: Iterable[Mapping[str, Mapping[str, Any]]]) -> Options:
    """Options by section: each layer over those before."""
    options: Options = {}
    for layer in layers:
        for section, values in layer.items():
            options.setdefault(section, {}).update(values)
    return options

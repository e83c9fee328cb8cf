"""The experts: one file each in ``extract/experts``, found by file name, imported when used."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import extract.experts
from extract.errors import UsageError
from extract.expert import Expert
from extract.options import checked


def expert_names() -> list[str]:
    """Names of all experts, sorted; reads the directories and imports no expert."""
    folders = [Path(folder) for folder in extract.experts.__path__]
    return sorted({p.stem for f in folders for p in f.glob("*.py") if not p.stem.startswith("_")})


def expert_class(name: str) -> type[Expert]:
    """The one Expert subclass that the file ``extract/experts/<name>.py`` defines."""
    names = expert_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"no expert {name!r}; there are {', '.join(names)}{hint}")
    module = importlib.import_module(f"extract.experts.{name}")
    found = [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, Expert) and c.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must define one Expert subclass, found {len(found)}")
    return found[0]


def make_expert(name: str, options: Mapping[str, Any] | None = None) -> Expert:
    """An expert with checked options. Raises UsageError for unknown names, keys or values."""
    cls = expert_class(name)
    return cls(check_options(name, cls.Options, options or {}))


def with_upstream(names: Iterable[str]) -> list[str]:
    """The names and everything they read from, upstream first, each once."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        for parent in expert_class(name).upstream:
            visit(parent)
        order.append(name)

    for name in names:
        visit(name)
    return order


def check_options(name: str, cls: type[Any], given: Mapping[str, Any]) -> Any:
    """An options dataclass from plain values; strings from a command line are converted."""
    return checked(cls, given, owner=f"expert {name!r}", prefix=name)

"""The experts: one file each in ``extract/experts``, found by file name, imported when used."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import extract.experts
from extract.errors import UsageError
from extract.expert import Expert


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
    hints = get_type_hints(cls)
    fields = [f.name for f in dataclasses.fields(cls)]
    for key in given:
        if key not in fields:
            allowed = ", ".join(fields) or "none"
            raise UsageError(f"expert {name!r} has no option {key!r}; it has: {allowed}")
    values = {k: _convert(f"{name}.{k}", hints[k], v) for k, v in given.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise UsageError(f"expert {name!r}: {error}") from error


def _convert(where: str, hint: Any, value: Any) -> Any:
    """``value`` as ``hint`` (bool, int, float, str, Literal, X | None)."""
    args = get_args(hint)
    if type(None) in args:
        if value is None or value in ("", "none"):
            return None
        return _convert(where, next(a for a in args if a is not type(None)), value)
    if args and get_origin(hint) is not tuple:
        if value not in args:
            raise UsageError(f"{where} is {value!r}; allowed: {', '.join(map(str, args))}")
        return value
    if hint is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if str(value).lower() not in words:
            raise UsageError(f"{where} is {value!r}; allowed: true, false")
        return words[str(value).lower()]
    if hint in (int, float, str):
        try:
            return hint(value)
        except ValueError:
            raise UsageError(f"{where} is {value!r}; a {hint.__name__} is needed") from None
    raise TypeError(f"{where}: options of type {hint} are not supported")

"""The experts: one file each in ``extract/experts``, found by file name, imported when used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import extract.experts
from extract.expert import Expert
from extract.options import checked
from extract.plugins import Plugins

EXPERTS = Plugins(extract.experts, "expert")


def expert_names() -> list[str]:
    """Names of all experts, sorted; reads the directories and imports no expert."""
    return EXPERTS.names()


def expert_class(name: str) -> type[Expert]:
    """The one Expert subclass that the file ``extract/experts/<name>.py`` defines."""
    return EXPERTS.subclass(name, Expert)


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

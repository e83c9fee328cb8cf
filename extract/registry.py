"""The experts: one file each in ``extract/experts``, found by file name, imported when used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import extract.experts
from extract.declarations import Expert
from extract.detectors.service import ShotService
from extract.errors import ExpertError, UsageError
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
    """An expert with checked options, whose declarations fit each other and those of its upstream.

    Raises:
        UsageError: unknown names, keys or values.
        ExpertError: what it declares cannot work.
    """
    cls = expert_class(name)
    expert = cls(check_options(name, cls.Options, options or {}))
    if expert.reads_media:
        tables = [parent for parent in expert.upstream if not issubclass(expert_class(parent), ShotService)]
        if tables:
            raise ExpertError(
                f"expert {name!r}: asks for streams of the file, so it cannot read the tables of "
                f'{", ".join(tables)}: remove them from upstream; pictures need upstream = ("scenes",)'
            )
        if len(expert.upstream) > 1:
            raise ExpertError(f"expert {name!r}: names several shot detectors upstream; keep one of them")
    return expert


def make_shot_service(name: str, options: Mapping[str, Any] | None = None) -> ShotService:
    """The expert that detects shots. Raises as :func:`make_expert`, and UsageError for another one."""
    expert = make_expert(name, options)
    if not isinstance(expert, ShotService):
        raise UsageError(f"expert {name!r} does not detect shots: it is not a ShotService")
    return expert


def with_upstream(names: Iterable[str]) -> list[str]:
    """The names and everything they read from, upstream first, each once.

    Raises UsageError for unknown names, ExpertError for experts that read from each other in a circle.
    """
    order: list[str] = []

    def visit(name: str, below: tuple[str, ...]) -> None:
        if name in below:
            raise ExpertError(f"expert {name!r}: it reads from itself via {' and '.join(below[1:])}")
        if name in order:
            return
        for parent in expert_class(name).upstream:
            visit(parent, (*below, name))
        order.append(name)

    for name in names:
        visit(name, ())
    return order


def check_options(name: str, cls: type[Any], given: Mapping[str, Any]) -> Any:
    """An options dataclass from plain values; strings from a command line are converted."""
    return checked(cls, given, owner=f"expert {name!r}", prefix=name)

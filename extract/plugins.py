"""Plugins: one file each in a package's folders, found by file name, imported when used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from extract.errors import unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Plugins:
    """The files of a package that are a plugin each; those that begin with ``_`` are none.

    Attributes:
        package: in whose folders they lie, however many its ``__path__`` has.
        kind: what one is called in messages: "expert", "model".
        dashes: whether names have "-" where files have "_".
    """

    package: ModuleType
    kind: str
    dashes: bool = False

    def names(self) -> list[str]:
        """All names, sorted; reads the folders and imports nothing."""
        files = (path.stem for folder in self.package.__path__ for path in Path(folder).glob("*.py"))
        stems = {stem for stem in files if not stem.startswith("_")}
        return sorted(stem.replace("_", "-") if self.dashes else stem for stem in stems)

    def module(self, name: str) -> ModuleType:
        """The file of a plugin, imported. Raises UsageError with all names for one that is unknown."""
        names = self.names()
        if name not in names:
            raise unknown(f"no {self.kind}", name, names)
        file = name.replace("-", "_") if self.dashes else name
        return importlib.import_module(f"{self.package.__name__}.{file}")

    def subclass(self, name: str, base: type[T]) -> type[T]:
        """The one subclass of ``base`` that a plugin's file defines."""
        module = self.module(name)
        found = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
        ]
        if len(found) != 1:
            raise TypeError(f"{module.__name__} must define one {base.__name__} subclass, found {len(found)}")
        return found[0]

    def attribute(self, name: str, attribute: str) -> Any:
        """What a plugin's file calls so."""
        module = self.module(name)
        if not hasattr(module, attribute):
            raise TypeError(f"{module.__name__} must define {attribute}")
        return getattr(module, attribute)

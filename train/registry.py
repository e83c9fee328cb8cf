"""The models: one file each in ``train/models``, found by file name, imported when used."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import train.models
from extract.errors import UsageError
from extract.options import checked

if TYPE_CHECKING:
    from train.model import GenreModel


def model_names() -> list[str]:
    """Names of all models, sorted; reads the directory and imports no model."""
    return sorted(stem.replace("_", "-") for stem in files_of(train.models))


def files_of(package: ModuleType) -> list[str]:
    """Names of the modules in a package's folders, sorted, those that begin with ``_`` left out."""
    files = (path.stem for folder in package.__path__ for path in Path(folder).glob("*.py"))
    return sorted({stem for stem in files if not stem.startswith("_")})


def model_class(name: str) -> type[GenreModel]:
    """The one GenreModel subclass that the model's file defines. Raises UsageError for an unknown name."""
    from train.model import GenreModel

    names = model_names()
    if name not in names:
        near = difflib.get_close_matches(name.replace("_", "-"), names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"no model {name!r}; there are {', '.join(names)}{hint}")
    module = importlib.import_module(f"train.models.{name.replace('-', '_')}")
    found = [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, GenreModel) and c.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must define one GenreModel subclass, found {len(found)}")
    return found[0]


def model_options(name: str, given: Mapping[str, Any] | None = None) -> Any:
    """The model's options, checked. Raises UsageError for unknown names, keys or values."""
    return checked(model_class(name).Options, given or {}, owner=f"model {name!r}", prefix="model")


def make_model(
    name: str, inputs: Mapping[str, int], genres: int, options: Mapping[str, Any] | None = None
) -> GenreModel:
    """A new model for these experts (name -> length of the vectors) and that many genres."""
    return model_class(name)(inputs, genres, model_options(name, options))

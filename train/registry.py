"""The models: one file each in ``train/models``, found by file name, imported when used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import train.models
from extract.options import checked
from extract.plugins import Plugins
from train.errors import of_options

if TYPE_CHECKING:
    from train.model import GenreModel

MODELS = Plugins(train.models, "model", dashes=True)


def model_names() -> list[str]:
    """Names of all models, sorted; reads the directory and imports no model."""
    return MODELS.names()


def model_class(name: str) -> type[GenreModel]:
    """The one GenreModel subclass that the model's file defines. Raises UsageError for an unknown name."""
    from train.model import GenreModel

    return MODELS.subclass(name, GenreModel)  # type: ignore[type-abstract]


@of_options()
def model_options(name: str, given: Mapping[str, Any] | None = None) -> Any:
    """The model's options, checked. Raises UsageError for unknown names, keys or values."""
    return checked(model_class(name).Options, given or {}, owner=f"model {name!r}", prefix="model")


@of_options()
def make_model(
    name: str, inputs: Mapping[str, int], genres: int, options: Mapping[str, Any] | None = None
) -> GenreModel:
    """A new model for these experts (name -> length of the vectors) and that many genres."""
    return model_class(name)(inputs, genres, model_options(name, options))

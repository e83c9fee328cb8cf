"""Options as the values that they stand for, so that a grid or a search is the same however it was started.

A command line gives texts, ``"1e-3"``; Python gives numbers, 0.001.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from extract.errors import UsageError
from extract.options import convert, field_types
from extract.presets import Options
from train.loading.steps import Steps
from train.registry import model_class
from train.settings import LabelOptions, SplitOptions, Training


def typed_options(options: Mapping[str, Mapping[str, Any]], models: Iterable[str]) -> Options:
    """Options of trainings of these models, by section or expert. What no type takes stays as it is."""
    owners: dict[str, list[type[Any]]] = {
        "model": [model_class(model).Options for model in models],
        "training": [Training],
        "labels": [LabelOptions],
        "split": [SplitOptions],
    }
    return {
        section: {
            name: typed_value(f"{section}.{name}", value, owners.get(section, [Steps]))
            for name, value in values.items()
        }
        for section, values in options.items()
        if values
    }


def typed_value(option: str, value: Any, owners: Iterable[type[Any]]) -> Any:
    """By the first of these dataclasses that has a field of the option's last name and takes the value."""
    name = option.rpartition(".")[2]
    for owner in owners:
        if name in field_types(owner):
            with suppress(UsageError):
                return convert(option, field_types(owner)[name], value)
    return value

"""What a fingerprint was made of, turned back into the arguments of an extraction."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from extract.errors import StoreError
from extract.registry import expert_class, expert_names, make_expert


def extraction(made_of: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The arguments of :func:`pipeline.run` under which these experts' rows were made.

    ``made_of`` is by expert what :func:`extract.fingerprint.fingerprint` recorded, and may come from anyone.
    Raises StoreError for rows that no expert here makes, for options that name a file or folder (no rows
    depend on one), and for experts that one extraction cannot make; UsageError for options that are unknown.
    """
    try:
        options = {name: options_of(name, record) for name, record in made_of.items()}
        return {
            "experts": list(made_of),
            "options": options,
            "precision": _common("precision", [precision_of(*each) for each in made_of.items()]) or "float32",
            "dtype": _common("dtype", _dtypes(made_of, options)) or "float32",
            "decode": _common("decode", [_decode(*each) for each in made_of.items()]) or "cpu",
            "random_seed": _common("random_seed", [r["random_seed"] for r in made_of.values()]),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise _incomplete(error) from error


def precision_of(name: str, record: Mapping[str, Any]) -> str | None:
    """What rows that were made of ``record`` were computed in; None for an expert that is always float32.

    Raises StoreError and UsageError as :func:`extraction` does.
    """
    try:
        expert = make_expert(name, options_of(name, record))
        return str(record["precision"]) if expert.computed_in("bfloat16") == "bfloat16" else None
    except (KeyError, TypeError, AttributeError) as error:
        raise _incomplete(error) from error


def _decode(name: str, record: Mapping[str, Any]) -> str | None:
    """What decoded the pictures that rows are of; None for an expert that sees none."""
    sees_pictures = "video" in make_expert(name, options_of(name, record)).media_streams
    return str(record.get("decode", "cpu")) if sees_pictures else None


def _incomplete(error: Exception) -> StoreError:
    return StoreError(
        f"what the features were made of is not recorded in full ({type(error).__name__}: {error})"
    )


def options_of(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an expert's rows. Raises StoreError as :func:`extraction` does."""
    if name not in expert_names() or "settings" not in record:
        raise StoreError(f"{name!r} is of no expert of this installation")
    settings = record["settings"]
    fields = dataclasses.fields(expert_class(name).Options)
    for field in fields:
        if field.type in ("str", "str | None") and settings.get(field.name) not in (None, field.default):
            raise StoreError(
                f"{name}.{field.name}={settings[field.name]!r} is recorded, a place on this machine that a "
                "record may not name"
            )
    known = {field.name for field in fields}
    return {key: value for key, value in settings.items() if key in known}


def _dtypes(made_of: Mapping[str, Mapping[str, Any]], options: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What vectors are stored in, of the tables that leave it open."""
    found = []
    for name, record in made_of.items():
        for table, spec in make_expert(name, options[name]).tables().items():
            if spec.embedding is not None and not spec.embedding.float32 and table in record["tables"]:
                found.append(record["tables"][table]["dtype"])
    return found


def _common(key: str, values: list[Any]) -> Any:
    """What those that have it have in common."""
    different = {value for value in values if value is not None}
    if len(different) > 1:
        said = ", ".join(sorted(map(str, different)))
        raise StoreError(f"they were extracted with several values of {key} ({said}), in as many runs")
    return different.pop() if different else None

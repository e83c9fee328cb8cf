"""Option dataclasses from plain values: a command line's texts, a TOML file's entries."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from extract.errors import UsageError, unknown

T = TypeVar("T")

_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def checked(cls: type[T], given: Mapping[str, Any], *, owner: str, prefix: str) -> T:
    """``cls(**given)`` with every value converted to its field's type; texts are parsed.

    ``owner`` and ``prefix`` are for messages: "expert 'ocr' has no option ...", "ocr.min_score is ...".
    A field is bool, int, float, str, a Literal, a tuple of these (texts are split at commas), or one of
    them or None. Raises UsageError for unknown names, values of another type, and what the class refuses.
    """
    hints = get_type_hints(cls)
    fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in given:
        if key not in fields:
            raise unknown(f"{owner} has no option", key, fields, have="it has:")
    values = {key: convert(f"{prefix}.{key}", hints[key], value) for key, value in given.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise UsageError(f"{owner}: {error}") from error


def convert(where: str, hint: Any, value: Any) -> Any:
    """``value`` as the type ``hint``. Raises UsageError for what it cannot be."""
    args = get_args(hint)
    if NoneType in args:
        if value is None or value in ("", "none"):
            return None
        return convert(where, next(a for a in args if a is not NoneType), value)
    if get_origin(hint) is tuple:
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else list(value)
        return tuple(convert(where, args[0], part) for part in parts if part != "")
    if get_origin(hint) is Literal:
        if value not in args:
            raise UsageError(f"{where} is {value!r}; allowed: {', '.join(map(str, args))}")
        return value
    if hint is bool:
        if str(value).lower() not in _WORDS:
            raise UsageError(f"{where} is {value!r}; allowed: true, false")
        return _WORDS[str(value).lower()]
    if hint in (int, float, str):
        try:
            return hint(value)
        except (ValueError, TypeError):
            raise UsageError(f"{where} is {value!r}; a {hint.__name__} is needed") from None
    raise TypeError(f"{where}: options of type {hint} are not supported")

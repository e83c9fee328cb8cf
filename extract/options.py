"""Settings that check themselves: plain values as the types that dataclasses declare.

Values come from a command line (texts), a TOML file or Python. One function, :func:`convert`, decides for all
three; what a type alone does not say stands beside it: ``Annotated[int, Range(at_least=1)]``. (pydantic does
as much, but its errors are several lines each and would have to be reworded.)
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import numbers
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from extract.errors import UsageError, not_allowed, unknown

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


@dataclasses.dataclass(frozen=True)
class Range:
    """Which numbers are allowed."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
        )

    def __str__(self) -> str:
        bounds = (("at least", self.at_least), ("more than", self.above), ("at most", self.at_most))
        return f"{' and '.join(f'{words} {n}' for words, n in bounds if n is not None)} is needed"


@dataclasses.dataclass(frozen=True)
class Form:
    """Which texts are allowed: those that match the pattern, which ``words`` describe."""

    pattern: str
    words: str

    def __contains__(self, value: str) -> bool:
        return re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        return f"allowed: {self.words}"


Positive = Annotated[int, Range(at_least=1)]
Seconds = Annotated[float, Range(above=0)]
Seed = Annotated[int, Range(at_least=0, at_most=2**63 - 1)]  # what PyTorch and NumPy both take
Device = Annotated[str, Form(r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda, cuda:N")]
Precision = Literal["float32", "float16", "bfloat16"]  # what networks compute in
Dtype = Literal["float16", "float32"]  # what vectors are stored in
Decode = Literal["cpu", "cuda"]  # what decodes pictures
DetectorName = Literal["transnetv2", "content", "adaptive", "ffmpeg"]
Gpus = Annotated[str, Form(r"all|\d+(,\d+)*", "all, or numbers such as 0,1")]
_GPU = r"(\d+(-\d+)?|(MIG-)?GPU-[0-9a-fA-F-]+(/\d+/\d+)?|MIG-[0-9a-fA-F-]+)"
GpuNames = Annotated[
    str,
    Form(
        rf"all|{_GPU}(,{_GPU})*", "all, or numbers such as 0,1 or 0-3, or what nvidia-smi -L names (MIG-...)"
    ),
]


class Checked:
    """Base of frozen dataclasses that check themselves: when one is made, every field is converted.

    Raises UsageError for unknown names, values of another type, and values that are not allowed.
    """

    elsewhere: ClassVar[tuple[str, ...]] = ()  # fields that a class checks in its own way

    def __new__(cls, *_: Any, **named: Any) -> Any:
        """Refuse unknown names; a dataclass itself would raise TypeError."""
        fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for name in named:
            if name not in fields:
                raise unknown(f"{cls.__name__} has no field", name, fields, have="it has:")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, hint in field_types(type(self)).items():
            value = convert(self.named(name), hint, getattr(self, name), texts=False)
            object.__setattr__(self, name, value)

    @classmethod
    def named(cls, field: str) -> str:
        """What messages call a field."""
        return field


def field_types(cls: type[Any]) -> Mapping[str, Any]:
    """The type of every field of a dataclass, with what is annotated."""
    types: Mapping[str, Any] = _field_types(cls)  # type: ignore[arg-type]  # every class is hashable
    return types


@functools.cache  # settings such as those of a batch's steps are made often
def _field_types(cls: type[Any]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for owner in filter(dataclasses.is_dataclass, reversed(cls.__mro__)):
        # One that is checked elsewhere may name a type that is not imported.
        declared = vars(owner).get("__annotations__", {}).items()
        known = {name: hint for name, hint in declared if name not in getattr(cls, "elsewhere", ())}
        holder = type("_", (), {"__annotations__": known, "__module__": owner.__module__})
        found |= get_type_hints(holder, include_extras=True)
    names = [field.name for field in dataclasses.fields(cls)]
    return {name: found[name] for name in names if name in found}


def checked(cls: type[T], given: Mapping[str, Any], *, owner: str, prefix: str) -> T:
    """``cls(**given)`` with every value converted to its field's type; texts are parsed.

    ``owner`` and ``prefix`` are for messages: "expert 'ocr' has no option ...", "ocr.min_score is ...".
    Raises UsageError for unknown names, values of another type, and what the class refuses.
    """
    if not isinstance(given, Mapping):
        raise UsageError(f"options of {owner} are {given!r}; a mapping of names to values is needed")
    types = field_types(cls)
    for key in given:
        if key not in types:
            raise unknown(f"{owner} has no option", key, types, have="it has:")
    values = {key: convert(f"{prefix}.{key}", types[key], value) for key, value in given.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise UsageError(f"{owner}: {error}") from error


def convert(where: str, hint: Any, value: Any, *, texts: bool = True) -> Any:
    """``value`` as the type ``hint``. Raises UsageError, which begins with ``where``, for what it cannot be.

    A type is bool, int, float, str, Path, a class, a Literal, a tuple or mapping of these, or one of them or
    None; with ``texts``, texts are parsed (a tuple's are split at commas).
    """
    kind, args = get_origin(hint), get_args(hint)
    if kind is Annotated:
        value = convert(where, args[0], value, texts=texts)
        for allowed in args[1:]:
            if value is not None and value not in allowed:
                raise UsageError(f"{where} is {value!r}; {allowed}")
        return value
    if NoneType in args:
        if value is None or (texts and value in ("", "none")):
            return None
        return convert(where, next(a for a in args if a is not NoneType), value, texts=texts)
    if hint is Any:
        return value
    if kind is tuple:
        return _tuple(where, args[0], value, texts=texts)
    if kind is Literal:
        found = [
            one
            for one in args
            if (one == value and type(one) is type(value)) or (texts and value == str(one))
        ]
        if not found:
            raise not_allowed(where, value, args)
        return found[0]
    if isinstance(kind, type) and issubclass(kind, Mapping):
        if not isinstance(value, Mapping):
            raise UsageError(f"{where} is {value!r}; a mapping of names is needed")
        return {name: convert(f"{where}[{name!r}]", args[1], one, texts=texts) for name, one in value.items()}
    if hint is Path:
        return _path(where, value)
    if hint in _KINDS:
        return _plain(where, hint, value, texts=texts)
    if not isinstance(hint, type) or kind is not None:
        raise TypeError(f"{where}: options of type {hint} are not supported")
    if not isinstance(value, hint):
        raise UsageError(f"{where} is {value!r}; {hint.__name__}(...) is needed")
    return value


def _tuple(where: str, hint: Any, value: Any, *, texts: bool) -> tuple[Any, ...]:
    if isinstance(value, str) and texts:
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise UsageError(f"{where} is {value!r}; a list is needed, as in [{value!r}]")
    return tuple(convert(where, hint, part, texts=texts) for part in value)


def _path(where: str, value: Any) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value) or "\0" in str(value):
        raise UsageError(f"{where} is {value!r}; a path is needed")
    return Path(value)


def _plain(where: str, hint: type, value: Any, *, texts: bool) -> Any:
    """A bool, int, float or str; a bool is not a number, and 1.5 is not a whole one."""
    if hint is bool and texts and str(value).lower() in _WORDS:
        return _WORDS[str(value).lower()]
    if hint is str and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if hint in (int, float) and texts and isinstance(value, str):
        with suppress(ValueError):  # what is not a number stays a text, which is refused below
            value = hint(value)
    taken: dict[type, type] = {int: numbers.Integral, float: numbers.Real}
    fits = isinstance(value, taken.get(hint, hint)) and (hint is bool or not isinstance(value, bool))
    if not fits or (hint is float and not abs(value) < math.inf):
        raise UsageError(f"{where} is {value!r}; {_KINDS[hint]} is needed")
    return hint(value)


def arguments_checked(function: Callable[P, R]) -> Callable[P, R]:
    """A function that answers unknown, missing and surplus arguments with a UsageError, not a TypeError."""
    signature = inspect.signature(function)
    name = f"{function.__module__.partition('.')[0]}.{function.__name__}"

    @functools.wraps(function)
    def call(*given: P.args, **named: P.kwargs) -> R:
        for key in named:
            if key not in signature.parameters:
                raise unknown(f"{name} has no argument", key, signature.parameters, have="it has:")
        try:
            signature.bind(*given, **named)
        except TypeError as error:
            raise UsageError(f"{name}: {error}") from None
        return function(*given, **named)

    return call

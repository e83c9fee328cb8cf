"""Values from a command line, a file and Python as the types that are declared; all else is refused."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from extract.errors import UsageError
from extract.options import Checked, Device, Positive, Range, Seconds, arguments_checked, checked, convert

TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "path": Path | None,
    "choice": Literal["a", "b"],
    "texts": tuple[str, ...],
    "pairs": dict[str, dict[str, Any]],
    "positive": Positive,
    "share": Annotated[float, Range(above=0, at_most=1)],
    "seconds": Seconds | None,
    "device": Device,
}


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("int", "3", 3),
        ("int", np.int64(3), 3),
        ("float", "0.5", 0.5),
        ("float", 2, 2.0),
        ("bool", "no", False),
        ("path", "a/b", Path("a/b")),
        ("path", "none", None),
        ("texts", "a, b,", ("a", "b")),
        ("texts", ["a"], ("a",)),
        ("share", "1", 1.0),
        ("seconds", None, None),
        ("device", "cuda:3", "cuda:3"),
    ],
)
def test_what_can_be_converted_is(kind: str, given: Any, value: Any) -> None:
    found = convert("x", TYPES[kind], given)
    assert found == value and type(found) is type(value)


WRONG: dict[str, tuple[Any, ...]] = {
    "int": (True, 1.5, "1.5", "many", None, [1], float("nan")),
    "float": (True, "nan", float("inf"), -float("inf"), "x", None, [1.0], 1j),
    "bool": (2, "maybe", None, []),
    "str": (3, None, True, b"a", ["a"]),
    "path": (3, True, ["a"], "a\0b"),
    "choice": ("c", None, 0, ["a"], "A"),
    "texts": (3, None, {"a": 1}, [3], b"a"),
    "pairs": (3, "a", {"a": 3}, ["a"], None),
    "positive": (0, -1, "0", True),
    "share": (0, 1.5, "nan", -1),
    "seconds": (0, -1.0, float("nan")),
    "device": ("gpu", "cuda:x", "cuda:", "cuda:-1", "meta", "mps", "CPU", "cpu:0", " cpu", 0, None),
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind in WRONG for value in WRONG[kind]])
def test_what_cannot_is_refused_in_one_line(kind: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        convert("the flag", TYPES[kind], value)
    message = str(caught.value)
    assert message.startswith("the flag") and " is " in message and "\n" not in message
    assert "needed" in message or "allowed: " in message


@pytest.mark.parametrize(
    ("kind", "text"),
    [("int", "3"), ("float", "0.5"), ("bool", "yes"), ("texts", "a"), ("seconds", "none")],
)
def test_from_python_texts_are_only_texts(kind: str, text: str) -> None:
    with pytest.raises(UsageError, match="is needed"):
        convert("x", TYPES[kind], text, texts=False)


@dataclass(frozen=True)
class Inner(Checked):
    size: Positive = 1


@dataclass(frozen=True, kw_only=True)
class Outer(Inner):
    names: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)


def test_a_checked_dataclass_converts_and_refuses_when_it_is_made() -> None:
    made = Outer(size=2, names=["a"])  # type: ignore[arg-type]
    assert made == Outer(size=2, names=("a",)) == pickle.loads(pickle.dumps(made))
    for wrong, words in (
        ({"size": 0}, "size is 0; at least 1 is needed"),
        ({"names": "ab"}, r"names is 'ab'; a list is needed, as in \['ab'\]"),
        ({"inner": {"size": 1}}, r"inner is {'size': 1}; Inner\(...\) is needed"),
        ({"sise": 1}, r"Outer has no field 'sise'; .* did you mean 'size'"),
    ):
        with pytest.raises(UsageError, match=words):
            Outer(**wrong)
    with pytest.raises(UsageError, match="size is -1"):
        replace(made, size=-1)


def test_options_by_name() -> None:
    assert checked(Inner, {"size": "4"}, owner="it", prefix="it") == Inner(4)
    for given, words in (
        ({"sise": 1}, r"it has no option 'sise'; it has: size; did you mean 'size'"),
        ({"size": "0"}, "it.size is 0; at least 1 is needed"),
        (3, "options of it are 3; a mapping"),
    ):
        with pytest.raises(UsageError, match=words):
            checked(Inner, given, owner="it", prefix="it")  # type: ignore[arg-type]


def test_wrong_arguments_of_a_function() -> None:
    @arguments_checked
    def go(where: str, *, workers: int = 0) -> str:
        return where * workers

    assert go("a", workers=2) == "aa"
    wrong: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        (("a",), {"worker": 2}, r"tests\.go has no argument 'worker'; .* did you mean 'workers'"),
        ((), {}, "missing a required argument: 'where'"),
        (("a", "b"), {}, "too many positional arguments"),
    ]
    for given, named, words in wrong:
        with pytest.raises(UsageError, match=words):
            go(*given, **named)

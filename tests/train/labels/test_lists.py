"""Lists in one cell, as other programs write them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from train.labels.lists import names_of, separator_of

BOTH = ["Action", "Sci-Fi"]


def read(cell: Any) -> list[str] | None:
    return names_of(cell, separator_of([cell]))


@pytest.mark.parametrize(
    "cell",
    [
        str(np.array(BOTH)),
        str(np.array([BOTH[0], None, BOTH[1], np.nan], object)),
        repr(np.array(BOTH, object)),
        repr(np.array(BOTH)),
        repr([np.str_(name) for name in BOTH]),
        str(np.array(BOTH, "S")),
        "['Action'\n 'Sci-Fi']",
        "array(['Action',\n       'Sci-Fi'], dtype=object)",
        "[np.str_('Action') np.str_('Sci-Fi')]",
        str(tuple(BOTH)),
        "{'Sci-Fi', 'Action'}",
        "frozenset({'Sci-Fi', 'Action'})",
        str(pd.Series(BOTH).tolist()),
        repr(pd.Index(BOTH)),
        str(pa.array(BOTH)),
        '["Action", "Sci-Fi"]',
        '"[\\"Action\\", \\"Sci-Fi\\"]"',
        "\"['Action', 'Sci-Fi']\"",
        "[Action, Sci-Fi]",
        "[Action, NULL, Sci-Fi]",
        "{Action,Sci-Fi}",
        '{Action,"Sci-Fi"}',
        "(Action, Sci-Fi)",
        'c("Action", "Sci-Fi")',
        "Action|Sci-Fi",
        "Action; Sci-Fi",
        "Action, Sci-Fi",
        "Action\nSci-Fi",
        '"Action", "Sci-Fi"',
        "'Action', 'Sci-Fi'",
        "N/A|Action|Sci-Fi",
        "Action | Sci\u2011Fi |",
        [{"name": "Sci-Fi"}, {"name": "Action"}],
        [b"Action".decode(), None, "Sci-Fi", float("nan")],
        b"Action|Sci-Fi",
    ],
)
def test_two_genres(cell: Any) -> None:
    assert read(cell) == BOTH


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("War|Drama| ", ["Drama", "War"]),
        ('["War", "Film, noir"]', ["Film, noir", "War"]),
        ("['War', 'L\\'amour']", ["L'amour", "War"]),
        ("['War' \"L'amour\"]", ["L'amour", "War"]),
        ("[War, L'amour]", ["L'amour", "War"]),
        ("('Drama',)", ["Drama"]),
        ("[Film noir]", ["Film noir"]),
        ("Film\u00a0 noir", ["Film noir"]),
        ("Come\u0301die", ["Comédie"]),
        (["b", "a", "a"], ["a", "b"]),
        ("[{'id': 1, 'name': 'War'}, {\"name\": 'Drama'}]", ["Drama", "War"]),
        (1999.0, ["1999"]),
        ("Action/Drama", ["Action/Drama"]),  # one genre of some catalogues: the table says so in a note
    ],
)
def test_names_in_a_cell(cell: Any, names: list[str]) -> None:
    assert read(cell) == names


@pytest.mark.parametrize(
    "nothing", ["N/A", "\\N", "nan", "NaN", "null", "None", "NULL", "<NA>", "-", " ", ""]
)
def test_what_stands_for_nothing_is_no_name(nothing: str) -> None:
    assert read(nothing) is None and read(f"{nothing}|{nothing}") is None
    assert read([nothing]) is None and read(f'["{nothing}", "War"]'.replace("\\", "\\\\")) == ["War"]
    assert read(f"War|{nothing}") == ["War"]


def test_more_that_stands_for_nothing() -> None:
    assert [read(cell) for cell in (None, float("nan"), "(no genres listed)", "[None]", "[nan]")] == [
        None
    ] * 5


@pytest.mark.parametrize("cell", ["[]", "()", "{}", "set()", "array([], dtype=object)", []])
def test_an_empty_list_is_of_no_names(cell: Any) -> None:
    assert read(cell) == []


@pytest.mark.parametrize(
    "cell",
    [
        "[War", "War]", "[1, 2]", '[{"a": 1}]', "{'a': 1}", [["a"]], [{"id": 1}], {"a": 1}, "[['a']]",
        "['a' ... 'b']", "[a, ..., b]", "['L'amour']", "['Action''Drama']", "['Action', 'Dra...", 
        "[War, [Noir]]",         'String["War"]', 'a:1:{i:0;s:3:"War";}', '12" single, War', "[,]",
    ],
)  # fmt: skip
def test_what_is_no_list_of_names(cell: Any) -> None:
    with pytest.raises(ValueError, match=r"list|kind"):
        read(cell)


@pytest.mark.parametrize(
    "cell", ["[" * 200_000, "[" * 200_000 + "]" * 200_000, "(" * 200_000, '{"a":' * 50_000, "[{'a':" * 50_000]
)
def test_brackets_without_end_are_refused_at_once(cell: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match=r"list|kind"):
        read(cell)
    assert time.process_time() - started < 5


def test_the_separator_is_the_first_allowed_one_that_the_column_has() -> None:
    assert separator_of(["a;b", "c,d", None, "['x|y']", "('x|y',)", "array(['x|y'])"]) == ";"
    assert separator_of(["Doe, Jane"], "|;") is None and names_of("Doe, Jane", None) == ["Doe, Jane"]

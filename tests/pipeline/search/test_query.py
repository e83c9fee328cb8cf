"""Words as they are compared: against a plain edit distance."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.search.query import Query, halves, near, plain

LETTERS = st.text("abc", min_size=4, max_size=7)


def distance(a: str, b: str) -> int:
    """Optimal string alignment: insertions, deletions, substitutions, and swaps of neighbours."""
    rows = [[max(i, j) if not i or not j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, change)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


@given(LETTERS, LETTERS)
def test_near_is_a_distance_of_one(a: str, b: str) -> None:
    assert near(a, b) == (distance(a, b) <= 1)


@given(LETTERS, LETTERS)
def test_a_near_word_has_one_of_the_halves(a: str, b: str) -> None:
    if near(a, b):
        (_, begin), (_, end) = halves(a)
        assert b.startswith(begin) or b.endswith(end)


def test_short_words_are_exact() -> None:
    assert not near("war", "was") and near("wars", "was")


def test_plain_words() -> None:
    assert plain("Élise’s  NAÏVE—straße, MI_6!") == "elise s naive strasse mi 6"
    assert plain("東京物語 ok") == "東 京 物 語 ok"


def test_a_query_has_words_and_phrases() -> None:
    assert Query.of('Coming "Who goes" mi-6 東京') == Query(("coming",), ("who goes", "mi 6", "東 京"))
    assert not Query.of(' "" !? ')

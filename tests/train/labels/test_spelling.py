"""What is one name, and what is none."""

from __future__ import annotations

import unicodedata

from train.labels.spelling import composed, folded, is_missing, text, tidy


def test_text_is_what_utf8_can_hold() -> None:
    assert text("\ud800x ") == "\\ud800x" and text(603.0) == "603" and text(7.5) == "7.5" and text(0) == "0"
    assert text("007") == "007" and text(b"Caf\xc3\xa9") == "Café"


def test_one_name_in_many_spellings() -> None:
    spellings = (
        "Film Noir",
        "film noir",
        " FILM  NOIR ",
        "Film\u00a0Noir",
        "Film\u200b Noir",
        "ﬁlm noir".upper(),
    )
    assert {folded(name) for name in spellings} == {"film noir"}
    assert folded("COMÉDIE") == folded(unicodedata.normalize("NFD", "Comédie")) == "comédie"
    assert folded("STRASSE") == folded("Straße") and folded("War") != folded("Wart")
    assert tidy("Sci\u2011Fi ") == "Sci-Fi" and composed("e\u0301") == "é"


def test_missing() -> None:
    assert is_missing(None) and is_missing("n/a") and is_missing(" NULL ") and is_missing(float("nan"))
    assert not is_missing("War") and not is_missing(0) and not is_missing("007")

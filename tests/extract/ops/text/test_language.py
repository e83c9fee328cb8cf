"""The vote over windows, and what stands for foreign text."""

from __future__ import annotations

from typing import get_args

import pytest

from extract.ops.text.language import (
    WRITTEN_LANGUAGES,
    LanguageCode,
    language_name,
    majority_language,
    replace_foreign,
    written_language,
)


def test_most_windows_decide_not_the_surest_one() -> None:
    sure, unsure = {"de": 0.99, "en": 0.01}, {"de": 0.4, "en": 0.6}
    assert majority_language([sure, unsure, unsure]) == ("en", pytest.approx((0.01 + 0.6 + 0.6) / 3))


def test_equal_votes_go_to_the_more_probable_language() -> None:
    assert majority_language([{"de": 0.6, "en": 0.4}, {"de": 0.1, "en": 0.9}])[0] == "en"
    assert majority_language([{"en": 0.5, "de": 0.5}])[0] == majority_language([{"de": 0.5, "en": 0.5}])[0]


def test_codes_are_those_of_whisper() -> None:
    from whisper.tokenizer import LANGUAGES

    assert get_args(LanguageCode) == tuple(LANGUAGES)
    assert set(WRITTEN_LANGUAGES) <= set(LANGUAGES)


def test_foreign_text_becomes_the_name_of_its_language() -> None:
    assert replace_foreign("Bald im Kino", "de") == "German language"
    assert replace_foreign("小心", "zh") == "Chinese language"
    assert replace_foreign("Coming soon", "en") == "Coming soon"
    assert replace_foreign("xyzzy", None) == "xyzzy"


def test_an_unknown_code_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'xx'"):
        language_name("xx")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("DIE LETZTE NACHT IM ALTEN HAUS AM SEE", "de"),
        ("From the makers of the greatest story that was ever told", "en"),
        ("una historia que cambiará el corazón de los niños", "es"),
        ("IN THEATERS DECEMBER 25", None),  # too much like Dutch to say
        ("A FILM BY GIUSEPPE TORNATORE", None),  # a name does not make a language
        ("BALD IM KINO", None),  # too short
        ("", None),
    ],
)
def test_writing_is_named_only_where_it_is_clear(text: str, language: str | None) -> None:
    assert written_language(text) == language

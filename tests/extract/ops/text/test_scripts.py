"""What gives away a script that the recogniser does not know, and what must not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.ops.text.scripts import greek, is_unread, looks_foreign, script_of

KNOWN = {"book", "attack", "the", "cake"}


@pytest.mark.parametrize(
    ("text", "script"),
    [("", "other"), ("  ", "other"), ("MI6", "latin"), ("25.12.", "common"), ("来年公開", "cjk"),
     ("ΑΘΗΝΑ", "greek"), ("Ｆｕｌｌ", "latin"), ("ひらがな", "hiragana")],
)  # fmt: skip
def test_script_is_that_of_most_letters(text: str, script: str) -> None:
    assert script_of(text) == script


def test_greek_lines_get_greek_letters_throughout() -> None:
    assert greek("TO BΛEMMA TOY O∆YΣΣEA") == "ΤΟ ΒΛΕΜΜΑ ΤΟΥ ΟΔΥΣΣΕΑ"
    for text in ("THE Ω FACTOR", "50 Ω", "BOOK", "ΔT = 5 K"):
        assert greek(text) == text


@pytest.mark.parametrize(
    "text", ["MOCKBA", "CTAJIKEP", "3EPKAJIO", "TOMOPPOBO KHO", "ΠPEMEPA", "00000 00 0000"]
)
def test_look_alikes_are_foreign(text: str) -> None:
    assert looks_foreign(text, KNOWN)


@pytest.mark.parametrize(
    "text", ["BOOK", "THE BOOK", "ATTACK", "TOHO", "HOMME", "Mocкba", "3D", "1984", "GAUMONT", "000"]
)
def test_latin_lines_are_not(text: str) -> None:
    assert not looks_foreign(text, KNOWN)


def line(letters: int, *, spacing: int = 30) -> NDArray[np.uint8]:
    """White strokes on black, 40 pixels high, one for each letter."""
    picture = np.zeros((40, spacing * letters, 3), np.uint8)
    for i in range(letters):
        picture[8:32, spacing * i + 8 : spacing * i + 22] = 255
    return picture


@pytest.mark.parametrize("inverted", [False, True])
def test_ink_without_letters_is_unread(inverted: bool) -> None:
    picture = 255 - line(10) if inverted else line(10)
    middles = [(i + 0.5) / 10 for i in range(10)]
    assert not is_unread(picture, middles)
    assert not is_unread(picture, middles[:9]), "one stroke may be an ornament"
    assert is_unread(picture, middles[::4])
    assert is_unread(picture, [])


def test_wide_spacing_is_no_missing_letter() -> None:
    assert not is_unread(line(6, spacing=120), [(15 + 120 * i) / 720 for i in range(6)])


def test_a_patch_of_texture_is_no_line() -> None:
    assert not is_unread(line(2), [])

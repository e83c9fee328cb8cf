"""Which script a line is in, where the recogniser knows some scripts only and answers in those anyway.

RapidOCR's models know Latin, Chinese, Japanese and the letters of Greek. Of other scripts they read what
looks like Latin (``O B O`` for a Russian line) or nothing, often with confidence. What gives it away does
not depend on the language: ink between the letters that were read, or words that are made of nothing
but the capitals which two scripts share.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Container, Sequence

import numpy as np
from numpy.typing import NDArray

OTHER = "other"  # a script that the recogniser does not know
REACH = 0.42  # of the line's height: ink this near to a letter's middle belongs to it
INK = 0.12  # of a column of pixels: less is noise
UNREAD_HEIGHTS, UNREAD_SHARE = 0.8, 0.25  # as wide as a letter and more; and of all ink
LEAST_ASPECT = 2.5  # what is less wide for its height is rarely a line
SHORTEST_TWINS = 6  # letters; fewer make names and words of other languages (HOMME)
SHORTEST_GREEK = 4

# Capitals that look the same in Cyrillic; Л and Ы are read as two letters.
CYRILLIC_TWINS = frozenset("ABCEHKMOPTXY36")
CYRILLIC_PAIRS = (("JI", "M"), ("BI", "B"))
GREEK_TWINS = str.maketrans("ABEFZHIKMNOPTYXov∆Ω", "ΑΒΕΓΖΗΙΚΜΝΟΡΤΥΧονΔΩ")
CIRCLES = frozenset("0Oo□")  # what is made of Hebrew and Arabic letters


def script_of(text: str) -> str:
    """The Unicode script of most letters in small letters ("latin", "cjk"); OTHER for no text at all."""
    if not text.strip():
        return OTHER
    names = (unicodedata.name(c, "").partition(" ")[0].lower() for c in text if c.isalpha())
    counts = Counter("latin" if name == "fullwidth" else name for name in names)
    return counts.most_common(1)[0][0] if counts else "common"


def greek(text: str) -> str:
    """A line of Greek letters and Latin ones that look Greek, in Greek letters throughout."""
    mapped = text.translate(GREEK_TWINS)
    letters = [c for c in mapped if c.isalpha()]
    if len(letters) < SHORTEST_GREEK or not any(map(_is_greek, text)) or not all(map(_is_greek, letters)):
        return text
    return mapped


def looks_foreign(text: str, known: Container[str]) -> bool:
    """Whether a line is what the recogniser makes of a script that it does not know.

    That is circles only, a word of Greek and Latin letters, or nothing but unknown words in capitals that
    look the same in Cyrillic. ``known`` holds words in small letters.
    """
    letters = [c for c in text if not c.isspace()]
    if len(letters) >= SHORTEST_GREEK and CIRCLES.issuperset(letters):
        return True
    if any(any(map(_is_greek, word)) and any(map(_is_latin, word)) for word in text.split()):
        return True
    for pair, letter in CYRILLIC_PAIRS:
        text = text.replace(pair, letter)
    letters = [c for c in text if c.isalnum()]
    return (
        len(letters) >= SHORTEST_TWINS
        and CYRILLIC_TWINS.issuperset(letters)
        and any(c.isalpha() for c in letters)
        and not any(word.strip(".,:!?'\"-").lower() in known for word in text.split() if len(word) > 2)
    )


def _is_greek(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("GREEK")


def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("LATIN")


def is_unread(line: NDArray[np.uint8], letters: Sequence[float]) -> bool:
    """Whether much of a line's ink lies where no letter was read.

    Args:
        line: uint8 (height, width, 3), upright.
        letters: the middle of each letter that was read, from 0 at the left edge to 1.
    """
    import cv2

    height, width = line.shape[:2]
    if width < LEAST_ASPECT * height:
        return False
    _, mask = cv2.threshold(cv2.cvtColor(line, cv2.COLOR_BGR2GRAY), 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    density = mask.mean(axis=0)
    inked = (density if mask.mean() <= 0.5 else 1 - density) > INK
    places = (np.arange(width) + 0.5)[:, None]
    middles = np.asarray(letters, dtype=np.float64)[None] * width
    far = np.abs(places - middles).min(axis=1, initial=width) > REACH * height
    unread = int((inked & far).sum())
    return bool(unread >= max(UNREAD_HEIGHTS * height, UNREAD_SHARE * inked.sum()))

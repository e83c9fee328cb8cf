"""How likely a reading is a guess at letters of a script that the recogniser does not know.

Of a script that it does not know the recogniser makes Latin letters, some with little confidence, in
sequences of no language, with capitals inside of words, unevenly spaced. None of these decides alone, as
titles are stylised and names foreign. A logistic regression over them does: ``python -m bench.ocr_scripts``
measures it and fits its weights.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from extract.ops.text.spelling import known_words
from extract.ops.text.turned_lines import LineReading

SHORTEST = 4  # letters and digits; fewer say too little
LEAST_DOUBT = 1e-3  # what a recogniser's confidence can be told from certainty by
UNSEEN_PAIR = -6.0  # natural logarithm, for pairs with another letter than a to z
TYPICAL_PAIR = -3.1  # and of lines without letters
SMOOTHING = 5.0

FEATURES = (
    "mean logarithm of the doubt about a letter",
    "lowest confidence in a letter",
    "logarithm of the number of letters and digits",
    "standard deviation of the distance between letters, over its mean",
    "share of letters outside ASCII",
    "mean logarithm of the probability of a pair of letters in English",
    "share of letters that are a capital after a small letter",
)
# Fitted to 2,867 lines in the fonts of 44 families, DejaVu not among them.
WEIGHTS = (0.62, -4.40, -2.69, 5.98, -4.79, -1.36, 9.00)
BIAS = 4.86
ALONE = 3.9  # log-odds to be believed of a line on its own: most lines are in a script that is known
BESIDE = 1.9  # and in a frame with a line of another script, or more such lines

_SPACED = re.compile(r"(?<=\b\w) (?=\w\b)")
_EDGE = 26  # of a word, as a letter


def foreign_odds(reading: LineReading) -> float:
    """Log-odds that this is a guess at letters of a script that the recogniser does not know.

    Minus infinity for a line that is too short to tell.
    """
    if sum(c.isalnum() for c in reading.text) < SHORTEST:
        return -math.inf
    return float(np.dot(WEIGHTS, features(reading))) + BIAS


def features(reading: LineReading) -> tuple[float, ...]:
    """The values that :data:`FEATURES` names, of a line with letters or digits."""
    text = _SPACED.sub("", unicodedata.normalize("NFKC", reading.text))  # "T I T L E" is one word
    count = max(1, sum(c.isalnum() for c in text))
    confidences = np.asarray(reading.confidences, dtype=np.float64)
    distances = np.diff(reading.letters)
    return (
        float(np.log(np.maximum(1 - confidences, LEAST_DOUBT)).mean()),
        float(confidences.min()),
        math.log(count),
        float(distances.std() / distances.mean()) if len(distances) > 1 else 0.0,
        sum(not c.isascii() for c in text) / count,
        _mean_pair(text),
        sum(a.islower() and b.isupper() for a, b in pairwise(text)) / count,
    )


def _mean_pair(text: str) -> float:
    """Of all pairs of each word's letters and edges, in small letters without accents."""
    table = _pairs()
    found = [
        UNSEEN_PAIR if min(a, b) < 0 else float(table[a, b])
        for word in text.split()
        if any(map(str.isalpha, word))  # not a number
        for a, b in pairwise(_letters(word))
    ]
    return float(np.mean(found)) if found else TYPICAL_PAIR


@functools.cache
def _pairs() -> NDArray[np.float64]:
    """(27, 27): logarithm of the probability of a letter after another, over the English dictionary.

    Each word counts as often as the logarithm of its number of occurrences.
    """
    counts = np.zeros((27, 27))
    for word, occurrences in known_words().items():
        for a, b in pairwise(code for code in _letters(word) if code >= 0):
            counts[a, b] += math.log(occurrences)
    counts += SMOOTHING
    table: NDArray[np.float64] = np.log(counts / counts.sum(axis=1, keepdims=True))
    return table


def _letters(word: str) -> Sequence[int]:
    """Codes from 0 for "a", with the word's edges; -1 for everything that is no such letter."""
    plain = (c for c in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(c))
    return [_EDGE, *(ord(c) - ord("a") if "a" <= c <= "z" else -1 for c in plain), _EDGE]

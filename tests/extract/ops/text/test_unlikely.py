"""Readings of lines in scripts that the recogniser does not know, against readings of titles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from extract.ops.text.turned_lines import LineReading
from extract.ops.text.unlikely import ALONE, BESIDE, FEATURES, WEIGHTS, _pairs, features, foreign_odds


def reading(text: str, confidence: float, lowest: float | None = None) -> LineReading:
    """A line with evenly spaced letters, all read with one confidence but the last."""
    confidences = [confidence] * (len(text) - 1) + [confidence if lowest is None else lowest]
    places = [(i + 0.5) / len(text) for i, letter in enumerate(text) if not letter.isspace()]
    return LineReading(text, float(np.mean(confidences)), tuple(places), tuple(confidences))


def test_guesses_at_other_letters_are_found() -> None:
    """What was read of a Hebrew, a Cyrillic and an Armenian word."""
    for line in (
        LineReading("LitLu", 0.76, (0.16, 0.29, 0.42, 0.62, 0.88), (1.0, 0.29, 0.8, 0.87, 0.84)),
        LineReading("Cb103", 0.84, (0.19, 0.43, 0.58, 0.66, 0.82), (0.67, 0.94, 0.59, 1.0, 1.0)),
        LineReading(
            "4nlnLJphw",
            0.72,
            (0.09, 0.2, 0.31, 0.38, 0.46, 0.57, 0.68, 0.79, 0.9),
            (0.73, 0.97, 0.47, 0.92, 0.68, 0.4, 0.96, 0.89, 0.43),
        ),
    ):
        assert foreign_odds(line) > ALONE


@pytest.mark.parametrize(
    ("text", "confidence", "lowest"),
    [
        ("THE LAST ORCHARD", 0.99, 0.9),
        ("GÖLGELER ŞEHRİ", 0.95, 0.7),
        ("Dziewczęta z fabryki", 0.97, 0.7),
        ("M A N Y  W O R D S", 0.9, 0.6),
        ("strengths", 0.8, 0.5),
        ("25.12.1984", 0.95, 0.8),
        ("WWF XBC", 0.999, 0.99),
        ("来年公開です", 0.9, 0.5),
        ("ΤΟ ΒΛΕΜΜΑ", 0.9, 0.6),
    ],
)
def test_titles_and_numbers_are_not(text: str, confidence: float, lowest: float) -> None:
    assert foreign_odds(reading(text, confidence, lowest)) < BESIDE < ALONE


def test_short_lines_say_too_little() -> None:
    for text in ("", "TJ", "X.q", "1 a 4", "(!?)."):
        assert foreign_odds(reading(text, 0.5) if text else LineReading("", 0.0, (), ())) == -math.inf


def test_features_are_what_they_are_called() -> None:
    """By hand, of "aB b": four characters, of which one is a space."""
    line = LineReading("aB b", 0.9, (0.1, 0.3, 0.9), (0.9, 0.99, 1.0, 0.6))
    table = _pairs()
    edge, a, b = 26, 0, 1
    pairs = [table[edge, a], table[a, b], table[b, edge], table[edge, b], table[b, edge]]
    expected = [
        np.mean(np.log([0.1, 0.01, 0.001, 0.4])), 0.6, math.log(3), 0.2 / 0.4, 0.0, np.mean(pairs), 1 / 3
    ]  # fmt: skip
    np.testing.assert_allclose(features(line), expected, rtol=1e-6)
    assert len(expected) == len(FEATURES) == len(WEIGHTS)


def test_pairs_are_those_of_english() -> None:
    table = np.exp(_pairs())
    np.testing.assert_allclose(table.sum(axis=1), 1)
    code = "abcdefghijklmnopqrstuvwxyz".index
    assert table[code("q")].argmax() == code("u") and table[code("t")].argmax() in (code("h"), code("i"))


def test_accents_width_and_spacing_do_not_count() -> None:
    plain = features(reading("resume", 0.9))
    assert features(reading("résumé", 0.9))[5] == pytest.approx(plain[5])
    assert features(reading("ｒｅｓｕｍｅ", 0.9)) == pytest.approx(plain)
    assert features(reading("r e s u m e", 0.9))[5] == pytest.approx(plain[5])

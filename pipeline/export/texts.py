"""Texts for formats that know lines alone."""

from __future__ import annotations

from unicodedata import category

# What turns the direction of a line (Unicode Standard Annex 9), and byte order marks.
_NEVER = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def one_line(text: str) -> str:
    """Line breaks, control characters and what turns a line's direction become spaces.

    Format characters that belong to words stay: joiners of Persian letters and of emoji, directional marks.
    """
    return "".join(mark if _belongs(mark) else " " for mark in text)


def _belongs(mark: str) -> bool:
    return mark.isprintable() or (category(mark) == "Cf" and mark not in _NEVER)

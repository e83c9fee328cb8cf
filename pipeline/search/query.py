"""What is sought and where it is found: words without case and accents, near words, phrases."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_WORD = re.compile(r"\w+")
# Scripts written without spaces: each character is a word, and what is sought in them a phrase.
_UNSPACED = re.compile(r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
_SHORT = 4  # words with fewer letters have to be exact: too many others are near


def plain(text: str) -> str:
    """Without case, accents and other marks, characters of scripts without spaces apart."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(_WORD.findall(_UNSPACED.sub(r" \1 ", bare).replace("_", " ")))


@dataclass(frozen=True)
class Query:
    """Every word and every phrase (in quotation marks) has to be there; all are :func:`plain`."""

    words: tuple[str, ...]
    phrases: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Query:
        phrases = re.findall(r"\"([^\"]*)\"", text)
        words: list[str] = []
        for piece in re.sub(r"\"[^\"]*\"", " ", text).split():
            found = plain(piece)
            # MI-6 and 東京 become several words that belong together
            (phrases if " " in found else words).append(found)
        return cls(tuple(filter(None, words)), tuple(filter(None, map(plain, phrases))))

    def __bool__(self) -> bool:
        return bool(self.words or self.phrases)


def near(a: str, b: str) -> bool:
    """Whether at most one letter is missing, added or wrong, or two neighbours changed places."""
    if len(a) < _SHORT or abs(len(a) - len(b)) > 1:
        return False
    i = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    swapped = a[i : i + 2] == b[i : i + 2][::-1] and a[i + 2 :] == b[i + 2 :]
    return a[i + 1 :] in (b[i + 1 :], b[i:]) or a[i:] == b[i + 1 :] or swapped


def halves(word: str) -> Iterator[tuple[str, str]]:
    """Beginnings and ends, one of which every near word has: its one slip lies in the other half.

    Two letters that changed places across the middle leave neither half whole, so each is one shorter.
    """
    middle = len(word) // 2
    yield "prefix", word[: max(1, middle - 1)]
    yield "suffix", word[middle + 1 :]

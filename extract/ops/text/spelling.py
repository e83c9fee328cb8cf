"""Correcting what OCR misread, without harming what it read well.

Text on a trailer's frames is names, titles and slogans, mostly in capitals and without sentences
around them; any dictionary lacks many of these words ("theaters" is missing in the one used here).
So an unknown word is not an error in itself, and a correction needs evidence:

* *Lost spaces* (``THISSUMMER``) are the usual error on well-read cards. A word is split only if it
  is unknown and falls apart into known words of which neighbours are a known English bigram, and one
  that stands together far more often than chance has it. The letters stay as they are, so ``NORTHWIND``,
  whose halves are not such a pair, stays whole, and so does the Spanish ``PROGRAMA``.
* *Digits inside of a word* (``TOM0RROW``) become the letters that they look like, if that gives a word.
  Digits at its ends are meant: ``MI6``, ``FAST5``, ``R2D2``.
* *One wrong letter* (``COMNG``) is corrected only in a line that was read without confidence, beside
  English words, in words of five letters and more that are not capitalised like a name, and only towards a
  common word that is ten times as frequent as the next candidate.

Nothing is touched in a frame whose other words do not look English.
"""

from __future__ import annotations

import functools
import importlib.resources
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from extract.errors import MissingDependency
from extract.weights.hashing import sha256_of

if TYPE_CHECKING:
    from symspellpy import SymSpell

UNIGRAMS = "frequency_dictionary_en_82_765.txt"
BIGRAMS = "frequency_bigramdictionary_en_243_342.txt"
COMMON = 10_000_000  # occurrences in the dictionary's corpus; some 5,700 words have as many
CONFIDENT = 0.95  # a line read with this score keeps its letters
DOMINANT = 10.0
SHORTEST_EDIT = 5  # letters; shorter words have too many neighbours
SHORTEST_DIGITS = 4  # letters and digits
SHORTEST_SPLIT = 5
SURE_SPLIT = 8  # shorter words fall apart by chance: only beside English words
LONGEST_SPLIT = 40
TOGETHER = 150.0  # times as often as chance: "of a" 212, "the end" 812; "a bend" 104, "not re" 26
# In the English dictionary, yet commoner in other languages: no evidence of English.
FOREIGN = frozenset(
    {"al", "che", "con", "de", "del", "den", "der", "die", "dos", "est", "la"}
    | {"las", "les", "los", "non", "para", "per", "pour", "que", "sur"}
)
LOOKALIKES = str.maketrans("015689", "oisbbg"), str.maketrans("015689", "olsgbg")

_SPACES = re.compile(r"(\s+)")
_CORE = re.compile(r"\w.*\w|\w", re.DOTALL)  # what a token is without punctuation around it
_COUNTED = re.compile(r"\W*([A-Za-z]{2,})\W*")


class Speller(Protocol):
    """Corrects the lines of one frame; ``scores`` are the reader's confidences in [0, 1]."""

    def __call__(self, lines: Sequence[str], scores: Sequence[float], /) -> list[str]: ...


def unchanged(lines: Sequence[str], scores: Sequence[float]) -> list[str]:
    """The speller that trusts every letter."""
    return list(lines)


def dictionary_files() -> dict[str, Path]:
    """The word lists in symspellpy's wheel, by file name. Raises MissingDependency without it."""
    try:
        folder = Path(str(importlib.resources.files("symspellpy")))
    except ModuleNotFoundError as error:
        raise MissingDependency("spelling 'symspell' needs symspellpy: pip install symspellpy") from error
    files = {name: folder / name for name in (UNIGRAMS, BIGRAMS)}
    for path in files.values():
        if not path.is_file():
            raise MissingDependency(
                f"symspellpy is installed without {path.name}: pip install symspellpy==6.10.1"
            )
    return files


@functools.cache
def dictionary_identity() -> dict[str, str]:
    """SHA-256 of each word list, by file name."""
    return {n: sha256_of(p) for n, p in dictionary_files().items()}


@functools.cache
def _symspell() -> SymSpell:
    """Both word lists, loaded once for each process (about a second)."""
    from symspellpy import SymSpell

    files = dictionary_files()
    lists = SymSpell(max_dictionary_edit_distance=1, prefix_length=5)
    lists.load_dictionary(files[UNIGRAMS], term_index=0, count_index=1)
    lists.load_bigram_dictionary(files[BIGRAMS], term_index=0, count_index=2)
    return lists


def segmented(text: str) -> str:
    """Spaces where a text without them is likeliest to have words; the letters stay."""
    return str(_symspell().word_segmentation(text, max_edit_distance=0).segmented_string)


def known_words() -> Mapping[str, int]:
    """The words of the English dictionary, in small letters, and how often each occurs in its corpus."""
    words: Mapping[str, int] = _symspell().words
    return words


@dataclass(frozen=True)
class Evidence:
    """What tokens say of their language: words counted, common English ones, tokens beyond ASCII."""

    words: int
    common: int
    beyond_ascii: int

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(
            self.words + other.words, self.common + other.common, self.beyond_ascii + other.beyond_ascii
        )

    def __sub__(self, other: Evidence) -> Evidence:
        return Evidence(
            self.words - other.words, self.common - other.common, self.beyond_ascii - other.beyond_ascii
        )

    @property
    def looks_english(self) -> bool:
        """At least half of the words are common English ones; true of no words at all."""
        return not self.beyond_ascii and self.words <= 2 * self.common


_NOTHING = Evidence(0, 0, 0)


class SymSpellSpeller:
    """The default: word by word with the lists of symspellpy (https://github.com/mammothb/symspellpy).

    Safe to call from several threads; the result depends on the arguments only.
    """

    def __init__(self) -> None:
        self._lists = _symspell()

    def __call__(self, lines: Sequence[str], scores: Sequence[float], /) -> list[str]:
        """The corrected lines of one frame; white space and punctuation stay where they are."""
        tokens = [_SPACES.split(line) for line in lines]
        frame = sum((self._evidence(token) for of_line in tokens for token in of_line), _NOTHING)
        return [
            "".join(self._token(token, score, frame) for token in of_line)
            for of_line, score in zip(tokens, scores, strict=True)
        ]

    def _token(self, token: str, score: float, frame: Evidence) -> str:
        core = _CORE.search(token)
        if core is None or not _is_word(core[0]) or core[0].lower() in self._lists.words:
            return token
        others = frame - self._evidence(token)
        if not others.looks_english:
            return token
        return token[: core.start()] + self._word(core[0], score, others) + token[core.end() :]

    def _word(self, word: str, score: float, others: Evidence) -> str:
        parts = self.split(word.lower())
        if parts is not None and self._stand_together(parts) and (others.common or len(word) >= SURE_SPLIT):
            return _cut(word, parts)
        read = self._without_digits(word)
        if read is None and score < CONFIDENT and others.common:
            read = self._nearest(word)
        return word if read is None else _like(word, read)

    def _evidence(self, token: str) -> Evidence:
        """Words of one letter, and those with digits or punctuation inside, do not count."""
        counted = _COUNTED.fullmatch(token)
        word = counted[1].lower() if counted else ""
        common = word not in FOREIGN and self._lists.words.get(word, 0) >= COMMON
        return Evidence(int(counted is not None), int(common), int(not token.isascii()))

    def _stand_together(self, parts: Sequence[str]) -> bool:
        """Every two neighbours are found side by side TOGETHER times as often as if by chance."""
        words, bigrams, total = self._lists.words, self._lists.bigrams, self._lists.N
        return all(
            bigrams[f"{first} {second}"] * total >= TOGETHER * words[first] * words[second]
            for first, second in pairwise(parts)
        )

    def split(self, word: str) -> list[str] | None:
        """The likeliest chain of known bigrams that spells ``word`` (lower case), or None.

        Maximises P(w1) * prod P(w_i | w_{i-1}), both by the counts of the lists.
        """
        if not SHORTEST_SPLIT <= len(word) <= LONGEST_SPLIT:
            return None
        words, bigrams = self._lists.words, self._lists.bigrams
        # chains[end]: for each last word of the letters before ``end``, its best chain.
        chains: list[dict[str, tuple[float, list[str]]]] = [{} for _ in range(len(word) + 1)]
        for end in range(1, len(word) + 1):
            for start in range(end):
                last = word[start:end]
                if last not in words or (len(last) == 1 and last not in "ai"):
                    continue
                if start == 0:
                    chains[end][last] = (math.log(words[last] / self._lists.N), [last])
                    continue
                found = [
                    (score + math.log(bigrams[f"{before} {last}"] / words[before]), [*chain, last])
                    for before, (score, chain) in chains[start].items()
                    if f"{before} {last}" in bigrams
                ]
                if found:
                    chains[end][last] = max(found)
        whole = [c for c in chains[-1].values() if len(c[1]) > 1]
        return max(whole)[1] if whole else None

    def _without_digits(self, word: str) -> str | None:
        """The word that is meant if digits inside of it are letters; those at its ends stay digits."""
        letters = sum(c.isalpha() for c in word)
        inside = word[0].isalpha() and word[-1].isalpha() and letters < len(word)
        if not inside or 2 * letters <= len(word) or len(word) < SHORTEST_DIGITS:
            return None
        for table in LOOKALIKES:
            read = word.lower().translate(table)
            if read in self._lists.words:
                return read
        return None

    def _nearest(self, word: str) -> str | None:
        from symspellpy import Verbosity

        named = word[0].isupper() and not word.isupper()
        if len(word) < SHORTEST_EDIT or not word.isalpha() or named:
            return None
        found = self._lists.lookup(word.lower(), Verbosity.CLOSEST, max_edit_distance=1)
        if not found or found[0].count < max(COMMON, DOMINANT * found[1].count if found[1:] else 0):
            return None
        return str(found[0].term)


def _is_word(text: str) -> bool:
    """Letters and digits only, at least one letter: no address, no number, no hyphen inside."""
    return text.isascii() and text.isalnum() and not text.isdigit()


def _cut(word: str, parts: Sequence[str]) -> str:
    """``word`` with spaces between its ``parts``; its letters and their case stay."""
    ends = [sum(map(len, parts[: i + 1])) for i in range(len(parts))]
    return " ".join(word[end - len(part) : end] for end, part in zip(ends, parts, strict=True))


def _like(word: str, read: str) -> str:
    """``read`` in the case of ``word``: capitals, capitalised, or small."""
    letters = [c for c in word if c.isalpha()]
    if all(c.isupper() for c in letters):
        return read.upper()
    return read.capitalize() if word[0].isupper() else read

"""Languages: the vote over a transcript's windows, and the stand-in for foreign text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lingua import LanguageDetector

# The codes of openai/whisper, tokenizer.py (LANGUAGES); options are checked before it is imported.
LanguageCode = Literal[
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id",
    "hi", "fi", "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur", "hr", "bg",
    "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv", "bn", "sr", "az", "sl", "kn", "et", "mk", "br",
    "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw", "gl", "mr", "pa", "si", "km", "sn", "yo", "so",
    "af", "oc", "ka", "be", "tg", "sd", "gu", "am", "yi", "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt",
    "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue",
]  # fmt: skip

# What papluca/xlm-roberta-base-language-detection, the detector of Sulun et al. 2024, tells apart.
# Among all languages that it knows lingua takes "in theaters december 25" for Dutch.
WRITTEN_LANGUAGES: tuple[LanguageCode, ...] = (
    "ar", "bg", "de", "el", "en", "es", "fr", "hi", "it", "ja",
    "nl", "pl", "pt", "ru", "sw", "th", "tr", "ur", "vi", "zh",
)  # fmt: skip
MIN_CHARACTERS = 20  # shorter text says too little
MIN_DISTANCE = 0.8  # by which the best language must lead: names in credits look foreign


def majority_language(windows: Sequence[Mapping[str, float]]) -> tuple[str, float]:
    """The language that most windows are in, and its mean probability over all windows.

    ``windows`` has a distribution over language codes for each window. A window votes for its most
    probable language; between languages with equal votes the sum of probabilities decides.
    """
    votes = Counter(max(sorted(window), key=window.__getitem__) for window in windows)
    sums = {code: sum(window.get(code, 0.0) for window in windows) for code in votes}
    best = max(sorted(votes), key=lambda code: (votes[code], sums[code]))
    return best, sums[best] / len(windows)


def replace_foreign(text: str, language: str | None) -> str:
    """``text``, or "German language" and the like if ``language`` is another than English.

    This is how Sulun et al. 2024 feed foreign speech and writing to an English text
    model. ``language`` is a code; None (not known) leaves the text as it is.
    """
    return text if language in (None, "en") else f"{language_name(language)} language"


def language_name(code: str) -> str:
    """The English name, "German" for "de". Raises ValueError for a code that Whisper does not know."""
    from whisper.tokenizer import LANGUAGES

    if code not in LANGUAGES:
        raise ValueError(f"language code {code!r}; known are {', '.join(LANGUAGES)}")
    return str(LANGUAGES[code]).title()


def written_language(text: str) -> str | None:
    """The language code of a text, or None where the text does not tell clearly.

    Needs at least ``MIN_CHARACTERS`` characters and a lead of ``MIN_DISTANCE`` over the next of the
    ``WRITTEN_LANGUAGES``. Capitals do not count: title cards are written in them.
    """
    if len(text) < MIN_CHARACTERS:
        return None
    language = _detector().detect_language_of(text.lower())
    return None if language is None else language.iso_code_639_1.name.lower()


@lru_cache(maxsize=1)
def _detector() -> LanguageDetector:
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    codes = [IsoCode639_1.from_str(code.upper()) for code in WRITTEN_LANGUAGES]
    builder = LanguageDetectorBuilder.from_iso_codes_639_1(*codes)
    return builder.with_minimum_relative_distance(MIN_DISTANCE).build()

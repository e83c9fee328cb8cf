"""One rule for what texts of tables mean: what is nothing, and which spellings are one name."""

from __future__ import annotations

import unicodedata
from typing import Any

from pipeline.storage.names import without_suffix
from pipeline.storage.scan import SUFFIXES

# What stands for nothing in tables of others (OMDb, IMDb, SQL, pandas, R, Excel, MovieLens), in lower case.
MISSING = frozenset(
    {"", "-", "--", "–", "—", "?", "n/a", "na", "<na>", "nan", "nat", "null", "none", "\\n"}
    | {"#n/a", "#na", "(no genres listed)"}
)
# Characters that nobody sees, and hyphens that look like the plain one.
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff")) | dict.fromkeys(map(ord, "\u2010\u2011"), "-")


def text(cell: Any) -> str:
    """A cell as text without blanks around it, that UTF-8 can hold; nothing, and NaN, is empty.

    Whole numbers have no point: a column with holes holds 603 as 603.0.
    """
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "backslashreplace").strip()
    return str(cell).encode("utf-8", "backslashreplace").decode().strip()


def is_missing(cell: Any) -> bool:
    """Whether a cell, or an entry of a list, stands for nothing."""
    return text(cell).lower() in MISSING


def composed(name: str) -> str:
    """For comparing ids: macOS gives out names decomposed (NFD), most others composed (NFC)."""
    return unicodedata.normalize("NFC", name)


def tidy(name: str) -> str:
    """A name as it is shown: composed, with single plain blanks, and without characters that nobody sees."""
    return " ".join(composed(name).translate(_UNSEEN).split())


def folded(name: str) -> str:
    """For comparing names of genres and columns: tidy, and without case (Unicode 3.13, D145)."""
    return composed(unicodedata.normalize("NFD", tidy(name)).casefold())


def has_video_suffix(name: str) -> bool:
    """Whether an id ends as a file does that ``extract`` takes for a video."""
    return name[len(without_suffix(name)) :].lower() in SUFFIXES

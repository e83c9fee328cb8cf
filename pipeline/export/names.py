"""The formats by the names that people know: of the program, of the file's ending, as it is written."""

from __future__ import annotations

import re
from typing import get_args

from extract.errors import unknown
from pipeline.export import Format

OTHER_NAMES: dict[str, Format] = {
    "subrip": "srt",
    "webvtt": "vtt",
    "npy": "numpy",
    "elan": "eaf",
    "opentimelineio": "otio",
    "cmx3600": "edl",
    "datasets": "huggingface",
    "parquet": "huggingface",
    "tar": "webdataset",
}


def format_named(name: str) -> Format:
    """The format that is called so, in whatever case and spelling. Raises UsageError for none."""
    formats: tuple[Format, ...] = get_args(Format)
    known = {one: one for one in formats} | OTHER_NAMES
    found = known.get(re.sub(r"[\W_]", "", str(name)).casefold())
    if found is None:
        raise unknown("no format", name, formats, also=OTHER_NAMES)
    return found

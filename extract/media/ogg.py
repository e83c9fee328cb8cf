"""The pages of an Ogg file (RFC 3533): where its links begin, and whether pages are missing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import pairwise
from typing import BinaryIO

from extract.media.container import PathLike, open_regular

MAGIC = b"OggS"
HEADER_BYTES = 27
FIRST, LAST = 0x02, 0x04  # header_type flags: first and last page of a logical stream
SEARCH_BYTES = 1 << 16


@dataclass
class Pages:
    """``links``: where the chained parts of the file start, in bytes; ``lost``: why it is not all there."""

    links: list[int] = field(default_factory=list)
    lost: str | None = None


def links(path: PathLike) -> list[tuple[int, int]]:
    """The stretches of a chained file, first and last byte (exclusive); one that is not chained is one."""
    with open_regular(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        starts = read_pages(file, size_bytes).links or [0]
    return list(pairwise([0, *starts[1:], size_bytes]))


def read_pages(file: BinaryIO, size_bytes: int) -> Pages:
    """Walk over all pages, reading their headers only.

    A chained file is several files one after another, each with streams of its own that may have
    another rate. Every stream ends with a page that says so, and its pages are numbered.
    """
    pages = Pages()
    numbers: dict[bytes, int] = {}
    open_streams: set[bytes] = set()
    at, only_first = 0, False
    while at < size_bytes:
        file.seek(at)
        header = file.read(HEADER_BYTES)
        if header[:4] != MAGIC or len(header) < HEADER_BYTES:
            pages.lost = "there are other bytes between its pages"
            at = _next_page(file, at + 1)
            continue
        flags, serial, number = header[5], header[14:18], int.from_bytes(header[18:22], "little")
        if flags & FIRST:
            if not only_first:
                pages.links.append(at)
            only_first = True
            open_streams.add(serial)
        else:
            only_first = False
            if number != numbers.get(serial, number - 1) + 1:
                pages.lost = "pages are missing"
        numbers[serial] = number
        if flags & LAST:
            open_streams.discard(serial)
        at += HEADER_BYTES + header[26] + sum(file.read(header[26]))
    if open_streams or at > size_bytes:
        pages.lost = "it ends before the last page of its streams"
    return pages


def _next_page(file: BinaryIO, start: int) -> int:
    """Where the next page starts, or the end of the file."""
    at = start
    while True:
        file.seek(at)
        data = file.read(SEARCH_BYTES)
        found = data.find(MAGIC)
        if found >= 0:
            return at + found
        if len(data) < len(MAGIC):
            return at + len(data)
        at += max(1, len(data) - len(MAGIC) + 1)

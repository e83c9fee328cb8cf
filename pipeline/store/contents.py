"""What lies in the folder of a store: files that Marquee named, what killed runs left, and all else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from extract.errors import StoreError
from pipeline.storage.inside import link_refusal, remove_files, target_of
from pipeline.storage.location import Kind, Location, kinds

PART = re.compile(r"part-(\d{5,9})-([0-9a-f]{12})\.parquet")
SHARD = re.compile(r"part-(\d{5,9})\.parquet")
_LEFT = re.compile(
    r"part-\d{5,9}(-\w+)?\.parquet|\d{5,9}\.json"
)  # what a temporary file below the first level was to become
NOTE = re.compile(r"\d{5,9}-[0-9a-f]{12}")
_TABLE = re.compile(r"\w+")
SEEN = re.compile(r"\d{5,9}\.json")
VIDEOS, INPUTS, NOTES, LOCK_FILE = "videos", "inputs", ".attempts", ".lock"
README_FILE = "README.md"
FILES = (README_FILE, "run.json", "coverage.parquet", "failures.parquet", "ignored.parquet", "metadata.json")

Role = Literal["own", "leftover", "misplaced", "foreign"]


@dataclass(frozen=True)
class Entry:
    """One file or folder of a store; ``name`` is relative to the store.

    ``leftover``: what a killed run left half-written. ``misplaced``: a link, folder or pipe under a name
    of ours. ``foreign``: a name that Marquee did not give.
    """

    name: str
    role: Role
    kind: Kind


def entries(root: Location) -> Iterator[Entry]:
    """Everything in a store, sorted by name within each folder; the inside of foreign folders is not told."""
    for name, kind in kinds(root).items():
        if name in FILES or name == LOCK_FILE:
            yield Entry(name, "own" if kind == "file" else "misplaced", kind)
        elif kind == "folder":
            yield from _folder(root / name, name)
        elif kind == "link" and (name == NOTES or _TABLE.fullmatch(name)):
            yield Entry(name, "misplaced", kind)
        else:
            yield Entry(name, _left(name, kind, *FILES), kind)


def _folder(folder: Location, name: str) -> Iterator[Entry]:
    inside = kinds(folder)
    pattern = {VIDEOS: SHARD, NOTES: NOTE, INPUTS: SEEN}.get(name, PART)
    found = [Entry(f"{name}/{file}", _role(file, kind, pattern), kind) for file, kind in inside.items()]
    if inside and all(entry.role == "foreign" for entry in found) and name not in (VIDEOS, NOTES, INPUTS):
        yield Entry(name, "foreign", "folder")
        return
    yield Entry(name, "own", "folder")
    yield from found


def _role(name: str, kind: Kind, pattern: re.Pattern[str]) -> Role:
    if pattern.fullmatch(name):
        return "own" if kind == "file" else "misplaced"
    return "leftover" if kind == "file" and _is_leftover(name) else "foreign"


def _left(name: str, kind: Kind, *targets: str) -> Role:
    return "leftover" if kind == "file" and target_of(name) in targets else "foreign"


def remove_leftovers(root: Path) -> int:
    """Delete what killed runs left half-written; only to be called under the store's lock. How many.

    On object storage there is nothing to delete: uploads that never ended are not objects.
    """
    removed = remove_files(root, root, lambda name: target_of(name) in FILES)
    for name, kind in kinds(root).items():
        if kind == "folder" and name != NOTES:
            removed += remove_files(root, root / name, _is_leftover)
    return removed


def _is_leftover(name: str) -> bool:
    target = target_of(name)
    return target is not None and _LEFT.fullmatch(target) is not None


def refuse_misplaced(root: Location) -> None:
    """Raise StoreError where a link, folder or pipe has a name of ours: a run would write through it."""
    for entry in entries(root):
        if entry.role == "misplaced":
            place = root / entry.name
            if entry.kind == "link":
                raise StoreError(link_refusal(place))
            raise StoreError(
                f"{str(place)!r} is not a file, but has the name of a file of the store: move it away"
            )

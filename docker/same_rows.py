"""Compare a store of copies with the store of their original: ``same_rows.py ORIGINAL COPIES FOLDER...``.

Every ``FOLDER`` below the videos of ``COPIES`` holds the videos of ``ORIGINAL``. Each of them must be there,
in the same state, with the same rows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq

import pipeline

Row = dict[str, Any]


def main(original: str, copies: str, folders: Sequence[str]) -> None:
    """Print what was compared. Exits with what differs first."""
    states = sorted(state_of(row) for row in coverage(original))
    found = sorted(state_of(row) for row in coverage(copies))
    wanted = sorted((f"{folder}/{video}", *state) for folder in folders for video, *state in states)
    if found != wanted:
        sys.exit(f"not the videos and states of the original: {sorted(set(found) ^ set(wanted))}")
    count = 0
    for table in sorted({expert for _, expert, state, _ in states if state == "ok"}):
        reference, others = rows_of(original, table), rows_of(copies, table)
        expected = [
            {**row, "video_id": f"{folder}/{row['video_id']}"} for folder in folders for row in reference
        ]
        if repr(others) != repr(sorted(expected, key=place)):  # repr: what is undefined is NaN
            sys.exit(f"the rows of {table} differ")
        count += len(others)
    print(f"{len({video for video, *_ in found})} videos, {count} rows: the same")


def coverage(store: str) -> list[Row]:
    """Every (video, expert) of a store."""
    rows: list[Row] = pq.read_table(f"{store}/coverage.parquet").to_pylist()
    return rows


def state_of(row: Row) -> tuple[str, str, str, int]:
    """What a video's entry says, without the wording of reasons."""
    return row["video_id"], row["expert"], row["state"], row["rows"]


def rows_of(store: str, table: str) -> list[Row]:
    """All rows of a table, in the order of videos and rows."""
    return sorted(pipeline.read(store, table).to_pylist(), key=place)


def place(row: Row) -> tuple[str, int]:
    return row["video_id"], row["row"]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

"""Failures as people read them: one line for each video and cause, and what helps."""

from __future__ import annotations

import io
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline.about.failures import failed_videos, remedies
from pipeline.cli.failure_reports import print_failures
from pipeline.store.coverage import FAILURES_SCHEMA
from pipeline.store.layout import Store


def fail(store: Store, *rows: tuple[str, str, str, str, str]) -> None:
    columns = zip(*((*row, 1) for row in rows), strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, FAILURES_SCHEMA, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=FAILURES_SCHEMA), str(store.root / "failures.parquet"))


def test_experts_that_failed_for_one_cause_are_one_entry(films: Store) -> None:
    (one,) = failed_videos(films)
    assert (one.video_id, one.message) == ("c", "moov atom not found")
    assert set(one.experts) == {"scenes", "lowlevel", "whisper"}


def test_what_follows_from_a_failure_is_not_a_failure_of_its_own(films: Store) -> None:
    fail(
        films,
        ("a", "whisper", "compute", "OutOfDeviceMemory", "no room"),
        ("a", "distilbert", "upstream", "UpstreamFailed", "whisper failed: no room"),
        ("b", "distilbert", "upstream", "UpstreamFailed", "ocr failed"),
    )
    assert [(one.video_id, one.stage) for one in failed_videos(films)] == [
        ("a", "compute"),
        ("b", "upstream"),
    ]


def test_each_kind_has_its_remedy_and_a_command(films: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["marquee"])
    fail(
        films,
        ("a", "ocr", "decode", "MediaError", "cannot be read as media"),
        ("b", "ocr", "compute", "OutOfDeviceMemory", "no room"),
    )
    first, second = remedies(films, failed_videos(films))
    again = f"marquee extract --out {films.root} --retry-failed"
    assert first == (
        f"to fix 'a': replace the file, then {again}; or give it up: marquee remove {films.root} a"
    )
    assert second.startswith("to fix 'b': ") and "--device cpu" in second and again in second


def test_ten_are_shown_and_where_the_rest_is(films: Store) -> None:
    fail(films, *((f"v{i:02d}", "ocr", "decode", "MediaError", "line\nbreak") for i in range(13)))
    console = Console(file=io.StringIO(), width=60, force_terminal=True, color_system=None)
    print_failures(films, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert [line for line in lines if line.startswith("failed: ")][-1] == "failed: v09 (ocr): line break"
    assert f"3 more failures in {films.root / 'failures.parquet'}" in lines
    assert any(line.endswith("ID...") for line in lines)  # not split at 60 columns

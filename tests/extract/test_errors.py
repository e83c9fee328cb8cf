"""What messages have in common."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from extract.errors import again, clock


def test_times_are_written_as_on_a_clock() -> None:
    seconds = (0.0, 9.96, 59.96, 75.0, 3599.0, 3725.25)
    assert [clock(value) for value in seconds] == ["0:00", "0:10", "1:00", "1:15", "59:59", "1:02:05"]
    assert [clock(value, 1) for value in seconds] == [
        "0:00.0", "0:10.0", "1:00.0", "1:15.0", "59:59.0", "1:02:05.2",
    ]  # fmt: skip


def test_the_command_that_runs_is_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["marquee", "extract", "my films", "--dry-run"])
    assert again(without="--dry-run") == "marquee extract 'my films'"
    assert again("--out", Path("a b")) == "marquee extract 'my films' --dry-run --out 'a b'"
    monkeypatch.setattr(sys, "argv", ["/x/train/__main__.py", "labels", "l.csv"])
    assert again("--features", "STORE").endswith(" -m train labels l.csv --features STORE")

"""What follows from a run's settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.work.config import usable_cores


@pytest.mark.parametrize(("text", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)])
def test_a_containers_limit_counts(tmp_path: Path, text: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    all_cores = len(os.sched_getaffinity(0))
    assert usable_cores(tmp_path / "cpu.max") == (cores or all_cores)
    assert usable_cores(tmp_path / "none") == all_cores

"""What follows from a run's settings."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from extract.errors import UsageError
from extract.registry import make_expert
from extract.selection import select
from pipeline.cli.display import status_line
from pipeline.work.config import RunConfig, usable_cores, usable_memory
from pipeline.work.host import engine_settings
from pipeline.work.progress import RunProgress
from tests.fixtures.file_server import Served, file_server
from tests.fixtures.weight_files import empty_home


@pytest.mark.parametrize(("text", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)])
def test_a_containers_limit_counts(tmp_path: Path, text: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    all_cores = len(os.sched_getaffinity(0))
    assert usable_cores(tmp_path / "cpu.max") == (cores or all_cores)
    assert usable_cores(tmp_path / "none") == all_cores


@pytest.mark.parametrize("text", ["1000000\n", "max\n"])
def test_a_containers_memory_counts(tmp_path: Path, text: str) -> None:
    (tmp_path / "memory.max").write_text(text)
    whole = usable_memory(tmp_path / "none")
    assert usable_memory(tmp_path / "memory.max") == (whole if "max" in text else 1_000_000)


def test_workers_divide_the_memory_for_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.work.host.usable_cores", lambda: 8)
    monkeypatch.setattr("pipeline.work.host.usable_memory", lambda: 64 << 30)
    config = RunConfig(videos=Path(), out=Path(), experts=("clip",))
    assert engine_settings(config, "cpu").queue_bytes == 8 << 30
    assert engine_settings(config, "cpu", cores=2).queue_bytes == 2 << 30
    given = replace(config, queue_memory_bytes=5)
    assert engine_settings(given, "cpu", cores=2).queue_bytes == 5
    with pytest.raises(UsageError, match="--queue-memory is 0; at least 1 is needed"):
        replace(config, queue_memory_bytes=0)


def test_a_run_shows_the_weights_that_it_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty_home(tmp_path, monkeypatch)
    (file,) = make_expert("beats").weights()
    progress = RunProgress()
    with file_server() as server:
        server.files[urlsplit(file.url).path] = Served(bytes(200_000))
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        selection = select(
            RunConfig(videos=tmp_path, out=tmp_path / "out", experts=("beats",)), progress.show_download
        )
    assert selection.weights["beats"]["model"].path.stat().st_size == 200_000
    assert status_line(progress).startswith(f"downloading {file.name}: 0.2 MB of 0.2 MB")

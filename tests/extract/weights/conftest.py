"""What the tests of weight files share: an empty home, and a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.file_server import FileServer, file_server
from tests.fixtures.weight_files import empty_home


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running

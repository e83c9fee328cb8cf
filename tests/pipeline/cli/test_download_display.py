"""What people see of downloads, on terminals of any width and in files."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from pipeline.cli.download_display import show_downloads
from tests.fixtures.weight_files import weight

LONG = weight("BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt", size_bytes=361_000_000)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_file_has_a_line_where_there_is_no_terminal() -> None:
    console = Console(file=io.StringIO(), width=1000)
    with show_downloads(console) as hear:
        for done in (1, 2, 3):
            hear(LONG, done, 361_000_000)
        hear(weight("[red].pth"), 5, None)
    assert shown(console) == f"downloading {LONG.name}, 361.0 MB\ndownloading [red].pth, size not published\n"


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_terminal_shows_name_and_size_at_any_width(width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    with show_downloads(console) as hear:
        hear(LONG, 100_000_000, 361_000_000)
        hear(LONG, 361_000_000, 361_000_000)
    lines = re.sub(r"\x1b\[[0-9?]*[a-zA-Z]", "", shown(console)).replace("\r", "\n").splitlines()
    assert all(len(line) <= width for line in lines)
    assert any(line.startswith("BEATs_iter3") and "361.0/361.0 MB" in line for line in lines)

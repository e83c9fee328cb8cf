"""Scratch folders, and what is left of those of killed processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from extract.scratch import Scratch, sweep

HOLD = """
import sys
from pathlib import Path
from extract.scratch import Scratch

scratch = Scratch("rows", parent=Path(sys.argv[1]))
(scratch.path / "part").write_bytes(b"x")
print(scratch.path, flush=True)
input()
"""


def test_a_folder_is_there_until_it_is_closed(tmp_path: Path) -> None:
    with Scratch("rows", parent=tmp_path) as scratch:
        assert scratch.path.parent == tmp_path and scratch.path.name.startswith("marquee-rows-")
        (scratch.path / "part").write_bytes(b"x")
        sweep(tmp_path)
        assert (scratch.path / "part").exists(), "its process lives"
    assert not list(tmp_path.iterdir())
    scratch.close()


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    paths = [Path(holder.stdout.readline().strip()) for holder in holders if holder.stdout is not None]
    (tmp_path / "marquee-of-somebody-else").mkdir()
    holders[0].send_signal(signal.SIGKILL)
    holders[0].wait()
    assert paths[0].exists()
    with Scratch("videos", parent=tmp_path):
        assert [path.exists() for path in paths] == [False, True]
    holders[1].communicate("\n")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["marquee-of-somebody-else"]


def test_nothing_that_a_link_leads_to_or_that_has_another_name_goes(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".held").touch()
    (tmp_path / "marquee-rows-abcdefgh").symlink_to(elsewhere)
    for name in ("marquee-videos", "marquee-rows-0123456", "marquee-Rows-01234567"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".held").touch()
    mine = tmp_path / "marquee-rows-01234567"
    mine.mkdir()
    (mine / ".held").symlink_to(elsewhere / ".held")
    full = tmp_path / "marquee-rows-11234567"
    full.mkdir()
    (full / ".held").write_text("precious")
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 7 and (elsewhere / ".held").exists()
    (full / ".held").write_text("")
    sweep(tmp_path)
    assert not full.exists()

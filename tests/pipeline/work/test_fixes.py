"""What verify names to be done is done, and the store is whole again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.layout import open_store
from pipeline.store.status import status
from pipeline.store.verify import verify
from tests.pipeline.runs import ROOT, contents

pytestmark = pytest.mark.usefixtures("planted_experts")


def follow(out: Path) -> list[str]:
    """Do what verify says until it says nothing; everything that it said."""
    done: list[str] = []
    for _ in range(4):
        report = verify(open_store(out))
        if report.clean:
            return done
        assert len(report.fixes) == len(report.problems)
        for fix in dict.fromkeys(report.fixes):
            done.append(fix)
            command = fix.replace("python -m extract", f"{sys.executable} -m extract --device cpu")
            result = subprocess.run(
                ["bash", "-c", command], cwd=ROOT, check=False, capture_output=True, text=True, timeout=240
            )
            assert result.returncode in (0, 1, 2, 3) and "Traceback" not in result.stderr, (
                fix,
                result.stderr,
            )
    raise AssertionError(verify(open_store(out)).problems)


def same(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """All rows are; but failures were tried again, and of a plan made anew nothing may be measured."""
    kept = {"failures": ("video_id", "expert", "message"), "videos": ("video_id", "path", "bytes")}
    return mine.keys() == theirs.keys() and all(
        mine[name][column] == theirs[name][column]
        for name in theirs
        for column in kept.get(name, tuple(theirs[name]))
    )


def test_following_verify_makes_a_spoilt_store_whole(whole: Path, tmp_path: Path) -> None:
    out = shutil.copytree(whole, tmp_path / "features")
    parts = sorted((out / "trouble").glob("part-*"))
    shutil.copy(parts[0], parts[1])
    shutil.copy(parts[0], out / "trouble" / parts[0].name.replace("00000", "00009"))
    parts[2].write_bytes(parts[2].read_bytes()[:-9])
    data = sorted((out / "scenes").glob("part-*"))[0]
    raw = bytearray(data.read_bytes())
    raw[40] ^= 255
    data.write_bytes(raw)
    (out / "scenes" / "notes.txt").write_text("mine")
    (out / "scenes" / "deep").mkdir()
    (out / "coverage.parquet").unlink()
    (out / "spectrogram" / "part-00007-0123456789ab.parquet").symlink_to(tmp_path / "nowhere")
    assert not status(open_store(out)).complete
    follow(out)
    assert same(contents(out), contents(whole))
    assert (tmp_path / "features.scenes.notes.txt").read_text() == "mine"


@pytest.mark.parametrize("how", ["deleted", "copied over", "copied"])
def test_following_verify_makes_a_spoilt_plan_whole(whole: Path, tmp_path: Path, how: str) -> None:
    out = shutil.copytree(whole, tmp_path / "features")
    plans = sorted((out / "videos").glob("part-*"))
    if how == "deleted":
        plans[0].unlink()
    else:
        shutil.copy(plans[0], plans[1] if how == "copied over" else out / "videos" / "part-00009.parquet")
    follow(out)
    assert same(contents(out), contents(whole))

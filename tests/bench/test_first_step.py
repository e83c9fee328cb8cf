"""How long a training takes to begin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import first_step


@pytest.mark.slow
def test_both_splits_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    first_step.main(["--videos", "60", "--repeat", "1"])
    found = re.findall(r"^(\w+): ([\d.]+) s, ([\d.]+) of processors$", capsys.readouterr().out, re.M)
    assert [name for name, _, _ in found] == ["random", "stratified"]
    assert all(float(seconds) > 0 for _, *both in found for seconds in both)


def test_a_training_that_reaches_no_step_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with status 2 before its first step"):
        first_step.measure(tmp_path, tmp_path / "none.csv", tmp_path / "run", model="mlp", split="random")

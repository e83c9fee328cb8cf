"""Trainings side by side: in this process, and on workers that see a GPU each. No GPU is needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from train.runs.workers import Cluster, crew

pytest.importorskip("distributed")
NAMES = [f"GPU-0000000{i}-aaaa-bbbb-cccc-000000000000" for i in range(2)]


def marked(folder: Path) -> Callable[[int], tuple[int, str | None]]:
    """A task that leaves a mark while it runs, and says its process and the GPU that it sees.

    Made anew, so that it is sent to workers as it is and not by its name.
    """

    def task(number: int) -> tuple[int, str | None]:
        if number == 2:
            raise ValueError("the loss is NaN")
        mark = folder / f"{os.getpid()}"
        assert not mark.exists(), "two trainings in one process"
        mark.touch()
        mark.unlink()
        return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")

    return task


def test_in_this_process_one_after_the_other(tmp_path: Path) -> None:
    begun: list[int] = []
    with crew(Cluster()) as workers:
        assert workers.size == 1
        found = dict(workers.run({n: partial(marked(tmp_path), n) for n in (1, 2, 3)}, begun.append))
    assert begun == [1, 2, 3] and str(found[2]) == "the loss is NaN"
    assert found[1] == found[3] == (os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES"))


@pytest.mark.slow
def test_a_process_for_each_gpu_sees_that_one_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.work.cluster.chosen_gpus", lambda text: NAMES[: len(text.split(","))])
    with crew(Cluster(gpus="0,1")) as workers:
        assert workers.size == 2
        found = dict(workers.run({n: partial(marked(tmp_path), n) for n in range(7)}))
    assert isinstance(found.pop(2), ValueError), "one failure does not cost the others"
    assert set(found) == {0, 1, 3, 4, 5, 6} and os.getpid() not in {pid for pid, _ in found.values()}
    by_process = {pid: gpu for pid, gpu in found.values()}
    assert sorted(map(str, by_process.values())) == NAMES

"""Every video of a run counts once, whatever workers say late, and however many had it."""

from __future__ import annotations

from pipeline import RunProgress
from pipeline.store.videos import Shard, Video
from pipeline.work.jobs import JobReport, ShardJob
from pipeline.work.worker_status import OpenJob, WorkerStatus


def job(attempt: str, *names: str) -> ShardJob:
    return ShardJob(Shard(0, tuple(Video(name, name.encode(), 1) for name in names)), attempt)


def counted(progress: RunProgress, *workers: WorkerStatus) -> tuple[int, int, int]:
    progress.show(workers)
    return progress.already, progress.done, progress.failed


def test_what_a_worker_says_late_of_a_job_that_is_over_counts_no_more() -> None:
    progress = RunProgress()
    late = WorkerStatus("1@here", {"first": OpenJob(done=2, failed=1), "second": OpenJob(done=1)})
    assert counted(progress, late) == (0, 3, 1)
    progress.report(job("first", "a", "b", "c"), JobReport(failed=frozenset("a")))
    assert counted(progress, late) == (0, 4, 1)
    progress.died(job("second", "d", "e"))
    assert counted(progress, late) == (0, 3, 1)


def test_a_video_that_is_done_again_counts_once() -> None:
    """A shard that turned out incomplete is handed out again."""
    progress = RunProgress()
    progress.report(job("first", "a", "b", "c"), JobReport(already=frozenset("a"), failed=frozenset("c")))
    progress.report(job("again", "a", "b", "c"), JobReport(already=frozenset("ab")))
    assert counted(progress) == (1, 2, 0)


def test_what_a_worker_had_written_before_it_died_was_worked_on() -> None:
    progress = RunProgress()
    assert counted(progress, WorkerStatus("1@here", {"first": OpenJob(already=["a"], done=1)})) == (0, 1, 0)
    assert counted(progress) == (0, 0, 0), "the worker is gone, and nobody has its job yet"
    progress.died(job("first", "a", "b", "c", "d"))
    progress.report(job("half", "a", "b"), JobReport(already=frozenset("ab")))
    progress.report(job("other", "c", "d"), JobReport(left=frozenset("d")))
    assert counted(progress) == (1, 2, 0)


def test_a_status_comes_back_from_a_heartbeat_as_it_was() -> None:
    status = WorkerStatus("1@here", {"first": OpenJob(["a"], 3, 1, {"clip": 3})})
    assert WorkerStatus.from_json(status.to_json()) == status and status.open_done == 3

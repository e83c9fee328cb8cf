"""What is done about workers that die: halves, until the video that kills is alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from pipeline.store.videos import Shard, Video
from pipeline.work.jobs import DEATHS_TO_BLAME, ShardJob, ShardJobs


def shard(n: int) -> Shard:
    return Shard(7, tuple(Video(f"{i:03d}", b"%d.mp4" % i, 10) for i in range(n)))


def play(
    jobs: ShardJobs, kills: Callable[[ShardJob], bool], most: int = 10_000
) -> tuple[set[str], set[str], int]:
    """Run all jobs; returns the videos that came through, those that were blamed, and the deaths."""
    kept: set[str] = set()
    blamed: set[str] = set()
    deaths = 0
    for _ in range(most):
        job = jobs.next()
        if job is None:
            return kept, blamed, deaths
        names = {video.video_id for video in job.shard.videos}
        if job.blame is not None:
            blamed |= names
        elif kills(job):
            deaths += 1
            jobs.died()
        else:
            kept |= names
    raise AssertionError("it does not end")


@pytest.mark.parametrize("n", [4, 5, 7, 64, 100])
def test_a_killer_is_found_in_a_logarithm_of_deaths(n: int) -> None:
    for killer in shard(n).videos:
        kept, blamed, deaths = play(ShardJobs(shard(n)), lambda job, k=killer: k in job.shard.videos)  # type: ignore[misc]
        assert blamed == {killer.video_id}
        assert len(kept) == n - 1
        assert deaths - 1 <= math.ceil(math.log2(n))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_deaths_blame_no_video(n: int) -> None:
    left = DEATHS_TO_BLAME - 1

    def kills(_: ShardJob) -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    kept, blamed, _ = play(ShardJobs(shard(n)), kills)
    assert (len(kept), blamed) == (n, set())


def test_several_killers() -> None:
    bad = {"003", "004", "060"}
    kills = lambda job: bool(bad & {video.video_id for video in job.shard.videos})  # noqa: E731
    kept, blamed, _ = play(ShardJobs(shard(64)), kills)
    assert blamed == bad
    assert len(kept) == 61


def test_workers_that_die_at_random_end_too() -> None:
    chance = random.Random(3)
    for _ in range(50):
        kept, blamed, _ = play(ShardJobs(shard(16)), lambda _: chance.random() < 0.5)
        assert len(kept) + len(blamed) == 16


def test_what_is_left_goes_on_alone() -> None:
    jobs = ShardJobs(shard(8))
    jobs.next()
    jobs.again({"002", "005"})
    job = jobs.next()
    assert job is not None
    assert [video.video_id for video in job.shard.videos] == ["002", "005"]
    assert job.shard.index == 7
    assert jobs.next() is None


def test_every_attempt_has_a_name_of_its_own() -> None:
    jobs = ShardJobs(shard(1))
    names = set()
    for _ in range(DEATHS_TO_BLAME + 1):
        job = jobs.next()
        assert job is not None
        names.add(job.attempt)
        if job.blame is None:
            jobs.died()
    assert len(names) == DEATHS_TO_BLAME + 1
    assert job is not None and job.blame is not None and "3 times" in job.blame

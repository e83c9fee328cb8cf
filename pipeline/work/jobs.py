"""Jobs: videos of one shard that one worker is given, and what is done when that worker dies."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from extract.errors import MarqueeError
from pipeline.store.videos import Shard, Video
from pipeline.work.worker_status import WorkerStatus

# A worker also dies of things that are no video's fault (preemption, an operator), so a video is
# blamed only when it was there each time that so many died, the last time alone.
DEATHS_TO_BLAME = 3


class WorkerDied(MarqueeError):
    """The worker of a job did not come back; the driver handles it."""


@dataclass(frozen=True)
class ShardJob:
    """Some or all videos of a shard. ``attempt`` is new for each submission.

    With ``blame`` nothing is run: the videos are recorded as failed with that message. One that is to be run
    ``alone`` shares its worker with no other job: should that die again, its video is blamed.
    """

    shard: Shard
    attempt: str
    blame: str | None = None
    alone: bool = False


@dataclass(frozen=True)
class OutOfUse:
    """A worker whose device no process can use any more: its address, and what the device says."""

    worker: str
    reason: str


@dataclass(frozen=True)
class JobReport:
    """What became of a job's videos.

    ``already`` needed nothing, ``left`` were not finished because the worker was told to stop; all others
    were worked on, ``failed`` of them with failures. ``died``: this very attempt had been started before, by
    a worker that did not come back; nothing was run. ``worker``: how that one stands now. ``out_of_use``: it
    can do no more jobs, and others may.
    """

    already: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()
    died: bool = False
    expert_videos: Mapping[str, int] = field(default_factory=Counter)
    worker: WorkerStatus | None = None
    out_of_use: OutOfUse | None = None


class ShardJobs:
    """The jobs of one shard, one at a time: the whole of it first.

    A job whose worker died is halved, and so on, until the video that kills workers is alone: of n
    videos it is found in at most log2(n) further deaths (rounded up), and all others are kept. What
    was written before the death is not done again.
    """

    def __init__(self, shard: Shard) -> None:
        self.index, self._members = shard.index, shard.members
        self._waiting: list[tuple[tuple[Video, ...], int]] = [(shard.videos, 0)]
        self._blamed: list[tuple[Video, int]] = []
        self._running: tuple[tuple[Video, ...], int] = ((), 0)

    def next(self) -> ShardJob | None:
        """The next job; None when all are done."""
        attempt = f"{self.index:05d}-{secrets.token_hex(6)}"
        if self._blamed:
            video, deaths = self._blamed.pop()
            why = (
                f"the worker process died {deaths} times while this video was worked on, the last time on it "
                "alone: check the workers' logs; --retry-failed tries it again"
            )
            self._running = ((video,), deaths)
            return ShardJob(Shard(self.index, (video,), self._members), attempt, blame=why)
        if not self._waiting:
            return None
        self._running = videos, deaths = self._waiting.pop()
        alone = len(videos) == 1 and deaths == DEATHS_TO_BLAME - 1
        return ShardJob(Shard(self.index, videos, self._members), attempt, alone=alone)

    def again(self, left: Collection[str]) -> None:
        """These videos of the running job were not finished, through no fault of theirs."""
        videos, deaths = self._running
        self._waiting.append((tuple(video for video in videos if video.video_id in left), deaths))

    def died(self) -> None:
        """The worker of the running job died."""
        videos, deaths = self._running[0], self._running[1] + 1
        middle = (len(videos) + 1) // 2
        if middle < len(videos):
            self._waiting += [(videos[middle:], deaths), (videos[:middle], deaths)]
        elif deaths < DEATHS_TO_BLAME:
            self._waiting.append((videos, deaths))
        else:
            self._blamed.append((videos[0], deaths))

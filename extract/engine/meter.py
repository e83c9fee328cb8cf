"""Where the time goes: busy seconds of each stage, rows, and what waits where."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

# "device" and "host" are the two lanes of the models; copies to the device are part of its batches only where
# models are not staged (extract.engine.stages).
Stage = Literal["decode", "device", "host", "write"]
STAGES: tuple[Stage, ...] = ("decode", "device", "host", "write")
RECENT_SECONDS = 20.0


@dataclass(frozen=True)
class Reading:
    """What a meter shows at one moment; counts are since the start.

    ``busy``: fractions over the last seconds, 0 to 1 of what each stage could do; ``rows_per_second``
    over the same time, by expert. ``waiting``: items in each queue (``windows`` is the shot network's,
    ``tables`` that of text to be read); ``queue_seconds``: of the models' work, by queue. ``halved``: how
    often a queue's batch size was halved because the device's memory was short. ``bytes_in_flight``: of
    items between decoders and rows; ``decoders_waiting`` have no room for theirs.
    """

    busy: Mapping[Stage, float]
    busy_seconds: Mapping[Stage, float]
    rows: Mapping[str, int]
    rows_per_second: Mapping[str, float]
    video_seconds: float
    pictures_decoded: int
    pictures: int
    waiting: Mapping[str, int] = field(default_factory=dict)
    halved: Mapping[str, int] = field(default_factory=dict)
    videos_in_flight: int = 0
    bytes_in_flight: int = 0
    decoders_waiting: int = 0
    queue_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def bound_by(self) -> Stage:
        return max(self.busy, key=lambda stage: self.busy[stage])

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and numbers, and ``bound_by``."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        plain = {name: dict(v) if isinstance(v, Mapping) else v for name, v in values.items()}
        return {**plain, "bound_by": self.bound_by}


class Meter:
    """Adds up from all threads; ``capacity`` is how many of a stage run at once."""

    def __init__(self, capacity: Mapping[Stage, int], now: Callable[[], float] = time.monotonic) -> None:
        self.capacity = capacity
        self._now = now
        self.busy_seconds: dict[Stage, float] = defaultdict(float)
        self.video_seconds = 0.0
        self.pictures_decoded = 0  # each as often as it was decoded
        self.pictures = 0  # of the files that these came from
        self._rows: Counter[str] = Counter()
        self._queue_seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._began: float | None = None
        self._recent: deque[tuple[Stage, float, float]] = deque()  # work: from, to
        self._recent_rows: deque[tuple[int, Counter[str]]] = deque()  # of each second

    def add(self, stage: Stage, seconds: float, *, queue: str | None = None) -> None:
        """Book work of so many seconds that has ended just now; ``queue``: whose batch it was."""
        now = self._now()
        with self._lock:
            self.busy_seconds[stage] += seconds
            if queue is not None:
                self._queue_seconds[queue] += seconds
            self._began = min(self._began or now, now - seconds)
            self._recent.append((stage, now - seconds, now))
            while now - self._recent[0][2] > RECENT_SECONDS:
                self._recent.popleft()

    def add_rows(self, expert: str, rows: int) -> None:
        now = self._now()
        with self._lock:
            self._rows[expert] += rows
            if not self._recent_rows or self._recent_rows[-1][0] != int(now):
                self._recent_rows.append((int(now), Counter()))
            self._recent_rows[-1][1][expert] += rows
            while now - self._recent_rows[0][0] > RECENT_SECONDS:
                self._recent_rows.popleft()

    def count_pictures(self, decoded: int, pictures: int | None) -> None:
        """Book a finished video, if it is known how many pictures it has."""
        if pictures is not None:
            self.pictures_decoded += decoded
            self.pictures += pictures

    def reading(self, going_on: Iterable[tuple[Stage, float]] = ()) -> Reading:
        """The state now; ``going_on`` is work that is not booked yet, each since when (monotonic)."""
        now = self._now()
        unbooked = [(stage, since, now) for stage, since in going_on]
        with self._lock:
            work = [*self._recent, *unbooked]
            recent = sum((c for at, c in self._recent_rows if now - at <= RECENT_SECONDS), Counter[str]())
            began = min([self._began or now, *(since for _, since, _ in unbooked)])
            rows, busy_seconds = dict(self._rows), dict(self.busy_seconds)
            queue_seconds = dict(self._queue_seconds)
        window = min(RECENT_SECONDS, now - began) or 1.0
        busy: dict[Stage, float] = dict.fromkeys(STAGES, 0.0)
        for stage, start, end in work:
            busy[stage] += max(0.0, end - max(start, now - window)) / (window * self.capacity[stage])
        return Reading(
            busy={stage: min(1.0, share) for stage, share in busy.items()},
            busy_seconds=busy_seconds,
            rows=rows,
            rows_per_second={expert: recent[expert] / window for expert in rows},
            video_seconds=self.video_seconds,
            pictures_decoded=self.pictures_decoded,
            pictures=self.pictures,
            queue_seconds=queue_seconds,
        )

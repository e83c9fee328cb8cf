"""Where the time goes: busy seconds of decode, compute and write, and what bounds the run."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import Literal

Stage = Literal["decode", "compute", "write"]
STAGES: tuple[Stage, ...] = ("decode", "compute", "write")
RECENT_SECONDS = 20.0


@dataclass(frozen=True)
class Reading:
    """Busy fractions (0 to 1 of what each stage could do), rows so far for each expert."""

    busy: dict[Stage, float]
    rows: dict[str, int]

    @property
    def bound_by(self) -> Stage:
        return max(self.busy, key=lambda stage: self.busy[stage])


class Meter:
    """Adds up busy seconds from all threads; ``capacity`` is how many of a stage run at once."""

    def __init__(self, capacity: dict[Stage, int]) -> None:
        self.capacity = capacity
        self.rows: Counter[str] = Counter()
        self.compute_seconds: dict[str, float] = defaultdict(float)
        self.busy_seconds: dict[Stage, float] = defaultdict(float)
        self.video_seconds = 0.0
        self.pictures_decoded = 0  # each as often as it was decoded
        self.pictures = 0  # of the files that these came from
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, Stage, float]] = deque()

    def add(self, stage: Stage, seconds: float, *, expert: str | None = None) -> None:
        now = time.monotonic()
        with self._lock:
            self.busy_seconds[stage] += seconds
            if expert is not None:
                self.compute_seconds[expert] += seconds
            self._recent.append((now, stage, seconds))
            while now - self._recent[0][0] > RECENT_SECONDS:
                self._recent.popleft()

    def count_pictures(self, decoded: int, pictures: int | None) -> None:
        """Book a finished video, if it is known how many pictures it has."""
        if pictures is not None:
            self.pictures_decoded += decoded
            self.pictures += pictures

    @property
    def decodes_per_video(self) -> float | None:
        """How often each picture was decoded; None where no pictures were asked for."""
        return self.pictures_decoded / self.pictures if self.pictures else None

    def reading(self) -> Reading:
        """Busy fractions over the last seconds."""
        now = time.monotonic()
        with self._lock:
            recent = [entry for entry in self._recent if now - entry[0] <= RECENT_SECONDS]
            rows = dict(self.rows)
        spans = [now - at + seconds for at, _, seconds in recent]
        window = min(RECENT_SECONDS, max(spans, default=1.0)) or 1.0
        busy: dict[Stage, float] = {}
        for stage in STAGES:
            total = sum(seconds for _, which, seconds in recent if which == stage)
            busy[stage] = min(1.0, total / (window * self.capacity[stage]))
        return Reading(busy, rows)

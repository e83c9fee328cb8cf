"""What one process that works on shards says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from extract.engine.meter import STAGES, Reading


@dataclass(frozen=True)
class OpenJob:
    """A job that is not reported yet: the videos that needed nothing, and counts of those that came back."""

    already: Sequence[str] = ()
    done: int = 0
    failed: int = 0
    expert_videos: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkerStatus:
    """One process that works on shards, as it is now.

    ``open``: its jobs, by attempt. ``reading`` is its engine's, None before that has started. ``gpu``: what
    its GPU is called; empty on a CPU.
    """

    name: str = ""
    open: Mapping[str, OpenJob] = field(default_factory=dict)
    reading: Reading | None = None
    gpu: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> WorkerStatus:
        reading = None if entry["reading"] is None else Reading(**entry["reading"])
        jobs = {attempt: OpenJob(**job) for attempt, job in entry["open"].items()}
        return cls(**{**entry, "open": jobs, "reading": reading})

    @property
    def open_done(self) -> int:
        """Videos that came back, of jobs that are not reported yet."""
        return sum(job.done for job in self.open.values())

    def figures(self) -> dict[str, float]:
        """Single figures for a dashboard: rows per second, busy shares in percent, items that wait."""
        found = self.reading
        figures = {"rows/s": 0.0 if found is None else round(sum(found.rows_per_second.values()), 2)}
        for stage in STAGES:
            figures[f"{stage} busy %"] = 0.0 if found is None else round(100 * found.busy[stage], 1)
        figures["items waiting"] = 0 if found is None else sum(found.waiting.values())
        return figures

"""What one process that works on shards says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from extract.engine.meter import STAGES, Reading


@dataclass(frozen=True)
class WorkerStatus:
    """One process that works on shards, as it is now.

    ``open_*`` count the videos of jobs that are not reported yet. ``reading`` is its engine's, None
    before that has started. ``gpu``: what its GPU is called; empty on a CPU.
    """

    name: str = ""
    open_done: int = 0
    open_failed: int = 0
    open_expert_videos: Mapping[str, int] = field(default_factory=dict)
    reading: Reading | None = None
    gpu: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> WorkerStatus:
        reading = entry["reading"]
        return cls(**{**entry, "reading": None if reading is None else Reading(**reading)})

    def figures(self) -> dict[str, float]:
        """Single figures for a dashboard: rows per second, busy shares in percent, items that wait."""
        found = self.reading
        figures = {"rows/s": 0.0 if found is None else round(sum(found.rows_per_second.values()), 2)}
        for stage in STAGES:
            figures[f"{stage} busy %"] = 0.0 if found is None else round(100 * found.busy[stage], 1)
        figures["items waiting"] = 0 if found is None else sum(found.waiting.values())
        return figures

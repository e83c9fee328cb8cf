"""The command line, with notes of when its stages began: ``python -m bench.staged NOTES ARGUMENTS``.

NOTES is a file of JSON lines: ``stage``, ``seconds`` of the machine's monotonic clock, and the
``cpu_seconds`` that the process had taken by then. The last stage is ``over``.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pipeline.cli import commands as cli
from pipeline.work.progress import RunProgress


@dataclass(frozen=True)
class Stages:
    """When a run's stages began, on the monotonic clock, and the processor seconds it had taken by then."""

    began: dict[str, float]
    cpu_seconds: dict[str, float]

    @classmethod
    def read(cls, notes: Path) -> Stages:
        lines = [json.loads(line) for line in notes.read_text().splitlines()]
        return cls(
            {line["stage"]: line["seconds"] for line in lines},
            {line["stage"]: line["cpu_seconds"] for line in lines},
        )

    @property
    def extracting_seconds(self) -> float:
        """From when the workers were there until all of them had ended the run."""
        return self.began["finishing"] - self.began["extracting"]

    @property
    def extracting_cpu_seconds(self) -> float:
        """Of the run's own process."""
        return self.cpu_seconds["finishing"] - self.cpu_seconds["extracting"]


def main() -> None:
    notes = Path(sys.argv.pop(1))

    def note(stage: str) -> None:
        line = {"stage": stage, "seconds": time.monotonic(), "cpu_seconds": time.process_time()}
        with notes.open("a") as file:
            file.write(json.dumps(line) + "\n")

    class Noting(RunProgress):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "stage":
                note(value)

    try:
        with patch("pipeline.cli.reports.RunProgress", Noting):
            cli.main()
    finally:
        note("over")


if __name__ == "__main__":
    main()

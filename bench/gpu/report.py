"""The report of a card: a JSON file that is whole after every measurement, and the same as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.gpu.measuring import Measurement
from pipeline.storage.atomic import atomic


class GpuReport:
    """What is known so far. ``facts`` are of the whole report: when, on what, in which mode.

    A section is ``running``, ``done`` or ``failed``, with the ``error`` that ended it.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self._path = path
        self._facts = dict(facts)
        self.sections: dict[str, dict[str, Any]] = {}

    def begin(self, section: str) -> None:
        self.sections[section] = {"state": "running", "measurements": []}
        self._write()

    def add(self, section: str, measurement: Measurement) -> None:
        self.sections[section]["measurements"].append(dict(measurement))
        self._write()

    def end(self, section: str, seconds: float, problem: str | None) -> None:
        state = {"state": "done"} if problem is None else {"state": "failed", "error": problem}
        self.sections[section].update(state, seconds=round(seconds, 1))
        self._write()

    def finish(self) -> None:
        """All sections were tried."""
        self._facts["finished"] = True
        self._write()

    @property
    def measurements(self) -> dict[str, list[Measurement]]:
        return {name: section["measurements"] for name, section in self.sections.items()}

    @property
    def failed(self) -> list[str]:
        """Sections that did not come to their end, and those in which a measurement met an error."""
        return [
            name
            for name, section in self.sections.items()
            if section["state"] == "failed" or any("error" in row for row in section["measurements"])
        ]

    def table(self, section: str) -> str:
        """A section in Markdown: a heading, and a row for each measurement."""
        found = self.sections[section]
        lines = [f"## {section} ({found['state']}, {found.get('seconds', 0):.0f} s)", ""]
        if "error" in found:
            lines += [f"{found['error']}", ""]
        return "\n".join([*lines, *table_lines(found["measurements"]), ""])

    def _write(self) -> None:
        whole = {**self._facts, "sections": self.sections}
        with atomic(self._path) as temporary:
            temporary.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def table_lines(measurements: Sequence[Measurement]) -> list[str]:
    """A Markdown table with a column for every name, in the order in which names first came."""
    columns = list(dict.fromkeys(name for measurement in measurements for name in measurement))
    if not columns:
        return []
    rows = [[_cell(measurement.get(name)) for name in columns] for measurement in measurements]
    return ["| " + " | ".join(row) + " |" for row in (columns, ["---"] * len(columns), *rows)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")

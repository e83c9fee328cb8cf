"""The books of one video: what was asked, what came back, in which order, and what failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.engine.rows import RowBuffer
from extract.selection import Selection
from extract.types import Failure, Item, MediaInfo, Outcome, Row

if TYPE_CHECKING:
    import pyarrow as pa

    from extract.engine.task import VideoTask


class VideoLedger:
    """Collects one video's rows. Items may come back in any order; rows are taken in the items' order."""

    def __init__(self, task: VideoTask, selection: Selection, folder: Path) -> None:
        self.task = task
        self.media: MediaInfo | None = None
        self.facts: Mapping[str, Any] = {}
        self.decoded = False
        self.failures: dict[str, Failure] = {}
        self._selection = selection
        self._expected: dict[str, int] = defaultdict(int)
        self._taken: dict[str, int] = defaultdict(int)
        self._early: dict[str, dict[int, tuple[Item, Sequence[Row]]]] = defaultdict(dict)
        experts = {name: selection.experts[name] for name in task.experts}
        self.media_experts = tuple(n for n, e in experts.items() if e.reads_media)
        self._text_experts = tuple(n for n, e in experts.items() if not e.reads_media)
        self._not_started = set(self._text_experts)
        self._not_read = set(self._text_experts)  # whose items are not all known
        self.buffers: dict[str, dict[str, RowBuffer]] = {
            name: {
                table: RowBuffer(spec, video_id=task.video_id, dtype=selection.dtype, folder=folder)
                for table, spec in expert.tables().items()
            }
            for name, expert in experts.items()
        }
        for name, expert in experts.items():
            for parent in expert.upstream:
                if parent in task.failed_upstream:
                    self._fail_below(name, parent, task.failed_upstream[parent])

    @property
    def to_decode(self) -> tuple[str, ...]:
        """Experts that need the decoder."""
        return tuple(name for name in self.media_experts if name not in self.failures)

    def reads_media(self, expert: str) -> bool:
        return expert in self.media_experts

    def expect(self, expert: str) -> int:
        """The number of a new item of this expert."""
        self._expected[expert] += 1
        return self._expected[expert] - 1

    def take(self, expert: str, number: int, item: Item, rows: Sequence[Row]) -> None:
        """Book an item's rows; they are passed on once all earlier items' rows are there."""
        early = self._early[expert]
        early[number] = (item, rows)
        while (ready := early.pop(self._taken[expert], None)) is not None:
            self._taken[expert] += 1
            if expert not in self.failures:
                item, rows = ready
                with self._rows_of(expert):
                    self.buffers[expert][item.table or expert].extend(rows)

    def fail(self, expert: str, stage: str, error_type: str, message: str) -> None:
        """Record the first failure of this expert; its rows so far are dropped."""
        self.failures.setdefault(expert, Failure(stage, error_type, message))
        for buffer in self.buffers[expert].values():
            buffer.discard()

    def _fail_below(self, expert: str, parent: str, why: Failure) -> None:
        """Record that ``parent`` failed: the file itself did if ``expert`` reads it too."""
        if expert in self.media_experts:
            self.fail(expert, why.stage, why.error_type, why.message)
        else:
            self.fail(expert, "upstream", "UpstreamFailed", f"{parent} failed: {why.message}")

    def fail_all(self, stage: str, error_type: str, message: str) -> None:
        for expert in self.media_experts:
            self.fail(expert, stage, error_type, message)

    def done(self, expert: str) -> bool:
        all_known = self.decoded and expert not in self._not_read
        return all_known and self._taken[expert] == self._expected[expert]

    @property
    def complete(self) -> bool:
        return all(self.done(expert) for expert in self.task.experts)

    def text_experts_ready(self) -> list[str]:
        """Text experts that can start now; ones with a failed upstream fail here.

        Each is named once, and then waits for :meth:`all_read`.
        """
        ready = []
        for name in self._text_experts:
            parents = [p for p in self._selection.experts[name].upstream if p in self.buffers]
            if name not in self._not_started or not all(self.done(parent) for parent in parents):
                continue
            self._not_started.remove(name)
            failed = [parent for parent in parents if parent in self.failures]
            if failed and name not in self.failures:
                self._fail_below(name, failed[0], self.failures[failed[0]])
            if name in self.failures:
                self.all_read(name)
            else:
                ready.append(name)
        return ready

    def all_read(self, expert: str) -> None:
        """All items of this text expert have been announced by :meth:`expect`."""
        self._not_read.discard(expert)

    def upstream_tables(self, expert: str) -> dict[str, pa.Table]:
        """The tables that this expert reads, by table name: computed just now, or stored before."""
        tables: dict[str, pa.Table] = {}
        for parent in self._selection.experts[expert].upstream:
            if parent in self.buffers:
                tables |= {name: buffer.table() for name, buffer in self.buffers[parent].items()}
            else:
                tables |= self.task.tables.get(parent, {})
        return tables

    def outcomes(self) -> dict[str, Outcome]:
        return {name: self._outcome(name) for name in self.task.experts}

    def seal(self) -> None:
        """All rows are in; rows that do not fit their table fail their expert here."""
        for expert, tables in self.buffers.items():
            with self._rows_of(expert):
                for buffer in tables.values():
                    buffer.seal()

    @contextmanager
    def _rows_of(self, expert: str) -> Iterator[None]:
        try:
            yield
        except (ValueError, KeyError, TypeError) as error:
            self.fail(expert, "rows", type(error).__name__, str(error))

    def discard(self) -> None:
        for tables in self.buffers.values():
            for buffer in tables.values():
                buffer.discard()

    def _outcome(self, name: str) -> Outcome:
        failure = self.failures.get(name)
        if failure is not None:
            return Outcome("failed", dict.fromkeys(self.buffers[name], 0), failure.message, failure)
        rows = {table: buffer.rows for table, buffer in self.buffers[name].items()}
        if any(rows.values()):
            return Outcome("ok", rows)
        expert = self._selection.experts[name]
        reason = expert.missing_stream(self.media) if self.media and expert.reads_media else None
        return Outcome("absent", rows, reason or expert.empty_reason)

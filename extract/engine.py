"""Many videos through all experts: decoders ahead, batches across videos, rows back in order.

Decoder processes cut videos into items; items wait in one queue for each expert until a batch is
full; rows return to their video's tables. One thread, the caller's, keeps the books; the others only
wait or compute. Items in flight are bounded in bytes, so a slow model holds the decoders back.
"""

from __future__ import annotations

import queue
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.lanes import WINDOWS, Computed, Entry, Lanes, Shown
from extract.ledger import Failure, Outcome, VideoLedger
from extract.media import messages
from extract.media.owner import STALL_SECONDS, Decoder
from extract.meter import Meter
from extract.models import Models, load_models
from extract.selection import Selection
from extract.types import Item, Scene

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class VideoTask:
    """One video and the experts to run on it.

    ``scenes`` and ``tables`` (by expert, then table name) are what was stored of their upstream,
    ``failed_upstream`` how upstream experts failed on this video.
    """

    video_id: str
    path: bytes
    experts: tuple[str, ...]
    scenes: tuple[Scene, ...] | None = None
    tables: Mapping[str, Mapping[str, pa.Table]] = field(default_factory=dict)
    failed_upstream: Mapping[str, Failure] = field(default_factory=dict)


@dataclass(frozen=True)
class VideoResult:
    """What became of a task: its tables' rows, each expert's outcome, and measured facts."""

    task: VideoTask
    facts: Mapping[str, Any]
    ledger: VideoLedger
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True)
class EngineSettings:
    """How to run; nothing here changes a row."""

    decoders: int = 2
    decoder_threads: int = 1
    batch_size: int = 16
    host_threads: int = 1
    queue_bytes: int = 256 << 20
    keyframe_buffer_bytes: int = 512 << 20
    stall_seconds: float = STALL_SECONDS
    videos_in_flight: int = 32


class _Credit:
    """Bytes that may be in flight between decoders and models."""

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._changed = threading.Condition()
        self.waiting = 0

    def take(self, size: int) -> None:
        with self._changed:
            self.waiting += 1
            self._changed.wait_for(lambda: self._used == 0 or self._used + size <= self._limit)
            self.waiting -= 1
            self._used += size

    def give(self, size: int) -> None:
        with self._changed:
            self._used -= size
            self._changed.notify_all()


def _bytes(item: Item) -> int:
    return 200 + sum(array.nbytes for array in item.arrays.values())


class Engine:
    """Loads the selected experts' models once, unless they are given, then runs videos through them.

    Use as a context manager: leaving it ends the decoder processes and removes spilled rows.
    """

    def __init__(
        self, selection: Selection, settings: EngineSettings | None = None, *, models: Models | None = None
    ) -> None:
        self.selection = selection
        self.settings = settings or EngineSettings()
        self.meter = Meter(
            {"decode": self.settings.decoders, "compute": 1 + (self.settings.host_threads > 0), "write": 1}
        )
        self._spill = tempfile.TemporaryDirectory(prefix="marquee-")
        self._events: queue.SimpleQueue[tuple[Decoder | None, Any]] = queue.SimpleQueue()
        self._credit = _Credit(self.settings.queue_bytes)
        self._models = models or load_models(selection, batch_size=self.settings.batch_size)
        self._lanes = Lanes(
            selection.experts,
            self._models,
            batch_size=self.settings.batch_size,
            host_threads=self.settings.host_threads,
            done=lambda computed: self._events.put((None, computed)),
        )
        self._idle = deque(
            Decoder(self._deliver, stall_seconds=self.settings.stall_seconds)
            for _ in range(self.settings.decoders)
        )
        self._decoders = tuple(self._idle)
        self._decoding: dict[Decoder, VideoLedger] = {}
        self._videos: list[VideoLedger] = []

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for decoder in self._decoders:
            decoder.close()
        self._lanes.close()
        self._spill.cleanup()

    def run(
        self, tasks: Iterable[VideoTask], *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[VideoResult]:
        """Results in the order in which videos finish. New tasks are drawn as there is room.

        Once ``stop()`` is true, videos that are not finished are given up.
        """
        waiting = iter(tasks)
        more = True
        while not stop():
            more = more and self._feed(waiting)
            yield from self._finished()
            if not self._videos and not more:
                return
            if self._videos:
                self._lanes.dispatch(flush=self._starving())
                self._wait()

    def _feed(self, waiting: Iterator[VideoTask]) -> bool:
        """Give idle decoders work; False when there are no tasks left."""
        while self._idle and len(self._videos) < self.settings.videos_in_flight:
            task = next(waiting, None)
            if task is None:
                return False
            ledger = VideoLedger(task, self.selection, Path(self._spill.name))
            self._videos.append(ledger)
            if ledger.to_decode:
                decoder = self._idle.popleft()
                self._decoding[decoder] = ledger
                decoder.submit(self._job(ledger))
            else:
                ledger.decoded = True
                self._start_text(ledger)
        return True

    def _job(self, ledger: VideoLedger) -> messages.Job:
        selection = self.selection
        return messages.Job(
            path=ledger.task.path,
            experts={name: selection.options[name] for name in ledger.to_decode},
            scene_options=selection.options.get("scenes", {}),
            scenes=ledger.task.scenes,
            buffer_bytes=self.settings.keyframe_buffer_bytes,
            threads=self.settings.decoder_threads,
        )

    def _deliver(self, decoder: Decoder, message: messages.Message) -> None:
        if isinstance(message, messages.Produced):
            self._credit.take(_bytes(message.item))
        self._events.put((decoder, message))

    def _starving(self) -> bool:
        """Nothing can arrive unless a partial batch goes out."""
        held = self._credit.waiting >= len(self._decoding)
        return self._events.empty() and self._lanes.idle and held

    def _wait(self) -> None:
        """Handle one event, or all that are there; come back now and then for batches that linger."""
        try:
            event = self._events.get(timeout=0.2)
            while True:
                self._handle(*event)
                event = self._events.get_nowait()
        except queue.Empty:
            pass

    def _handle(self, decoder: Decoder | None, message: Any) -> None:
        if isinstance(message, Computed):
            self._returned(message)
            return
        assert decoder is not None
        ledger = self._decoding[decoder]
        match message:
            case messages.Opened(media):
                ledger.media = media
            case messages.Window(thumbnails):
                self._lanes.put(WINDOWS, Shown(ledger, decoder, thumbnails))
            case messages.Produced(expert, item):
                self._produced(ledger, expert, item)
            case messages.ExpertFailed(expert, stage, error_type, text):
                ledger.fail(expert, stage, error_type, text)
            case messages.Progress(busy_seconds):
                self.meter.add("decode", busy_seconds)
            case messages.Finished(facts, pictures_decoded, pictures, busy_seconds):
                self.meter.add("decode", busy_seconds)
                self.meter.count_pictures(pictures_decoded, pictures)
                self.meter.video_seconds += facts.get("duration_seconds") or 0.0
                ledger.facts = facts
                self._release(decoder, ledger)
            case messages.VideoFailed(stage, error_type, text):
                ledger.fail_all(stage, error_type, text)
                self._release(decoder, ledger)

    def _release(self, decoder: Decoder, ledger: VideoLedger) -> None:
        del self._decoding[decoder]
        self._idle.append(decoder)
        ledger.decoded = True
        self._start_text(ledger)

    def _produced(self, ledger: VideoLedger, expert: str, item: Item) -> None:
        number = ledger.expect(expert)
        if self.selection.experts[expert].lane == "none":
            self._credit.give(_bytes(item))
            rows = self._models.by_expert[expert]([item])[0]
            self.meter.rows[expert] += len(rows)
            ledger.take(expert, number, item, rows)
        elif expert in ledger.failures:
            self._credit.give(_bytes(item))
            ledger.take(expert, number, item, [])
        else:
            self._lanes.put(expert, Entry(ledger, number, item))

    def _returned(self, computed: Computed) -> None:
        self._lanes.returned(computed)
        name = "scenes" if computed.queue == WINDOWS else computed.queue
        self.meter.add("compute", computed.seconds, expert=name)
        if computed.queue == WINDOWS:
            for index, window in enumerate(computed.entries):
                # an error ends the video: the decoder cannot go on without an answer
                values = None if computed.error else computed.results[index]
                if self._decoding.get(window.decoder) is window.video:  # else it died meanwhile
                    window.decoder.answer(messages.Prediction(values, str(computed.error or "")))
            return
        if computed.error is not None and len(computed.entries) > 1:
            self._lanes.retry_singly(computed.queue, computed.entries)
            return
        for index, entry in enumerate(computed.entries):
            if entry.video.reads_media(name):
                self._credit.give(_bytes(entry.item))
            if computed.error is not None:
                entry.video.fail(name, "compute", type(computed.error).__name__, str(computed.error))
                rows = []
            else:
                rows = computed.results[index]
            self.meter.rows[name] += len(rows)
            entry.video.take(name, entry.number, entry.item, rows)
            self._start_text(entry.video)

    def _start_text(self, ledger: VideoLedger) -> None:
        """Start the text experts whose upstream is complete."""
        for name in ledger.text_experts_ready():
            try:
                items = list(self.selection.experts[name].read_tables(ledger.upstream_tables(name)))
            except Exception as error:
                ledger.fail(name, "prepare", type(error).__name__, str(error))
                continue
            for item in items:
                self._lanes.put(name, Entry(ledger, ledger.expect(name), item))

    def _finished(self) -> Iterator[VideoResult]:
        for ledger in [video for video in self._videos if video.complete]:
            self._videos.remove(ledger)
            ledger.seal()
            yield VideoResult(ledger.task, ledger.facts, ledger, ledger.outcomes())

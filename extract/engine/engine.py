"""Many videos through all experts: decoders ahead, batches across videos, rows back in order.

Decoder processes cut videos into items; items wait in one queue for each expert until a batch is
full; rows return to their video's tables. One thread, the caller's, keeps the books; the others only
wait or compute. Items in flight are bounded in bytes, so a slow model holds the decoders back.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from extract.declarations import PassThrough
from extract.decoder import messages
from extract.engine.batches import LaneName, Request, RequestBatch, Result
from extract.engine.credit import Credit, lane_credits
from extract.engine.decoders import Decoders
from extract.engine.lanes import Lanes, TableBatch, WindowBatch
from extract.engine.ledger import VideoLedger
from extract.engine.machine import Machine, VideoDecoder
from extract.engine.meter import Meter, Reading
from extract.engine.models import Models, models_as_they_load
from extract.engine.requests import QueuedItem, TableRequest, WindowRequest
from extract.engine.settings import EngineSettings
from extract.engine.stages import ItemBatch
from extract.engine.task import Tasks, VideoTask
from extract.errors import DeviceFault, DeviceUnusable
from extract.ops.network.pinned import limit_pinned_memory
from extract.scratch import Scratch
from extract.selection import Selection
from extract.types import Item, Outcome, Row

WAKE_SECONDS = 0.2  # how long it sleeps at most: batches linger, new tasks may have come


@dataclass(frozen=True)
class VideoResult:
    """What became of a task: its tables' rows, each expert's outcome, and measured facts."""

    task: VideoTask
    facts: Mapping[str, Any]
    ledger: VideoLedger
    outcomes: Mapping[str, Outcome]


class Engine:
    """Loads the selected experts' models once, unless they are given, and runs videos through them.

    Decoders begin while models load, and on a CPU each model once it is there. Use as a context manager:
    leaving it ends them and removes spilled rows.
    """

    def __init__(
        self,
        selection: Selection,
        settings: EngineSettings | None = None,
        *,
        models: Models | None = None,
        machine: Machine | None = None,
    ) -> None:
        machine = machine or Machine()
        self._now = machine.now
        self.selection = selection
        self.settings = settings or EngineSettings()
        self.meter = Meter(
            {"decode": self.settings.decoders, "device": 1, "host": self.settings.host_threads, "write": 1},
            machine.now,
        )
        self._spill = Scratch("rows")
        self._events = machine.inbox()  # for the caller's thread
        batch_size = self.settings.batch_size
        self._credit = lane_credits(
            selection, batch_size, self.settings.host_threads, self.settings.queue_bytes
        )
        # Of what is in flight the parts that are being copied lie there a second time.
        limit_pinned_memory(self._credit["device"].most_bytes)
        loading = iter([models]) if models else models_as_they_load(selection, batch_size=batch_size)
        self._lanes = Lanes(
            selection.experts,
            next(loading),
            self,
            batch_size=batch_size,
            host_threads=self.settings.host_threads,
            machine=machine,
        )
        self._load_error: BaseException | None = None
        self._closing = False
        self._loader = threading.Thread(target=self._load, args=(loading,), name="load")
        self._loader.start()
        self._decoders = Decoders(selection, self.settings, machine, self._deliver)
        self._videos: list[VideoLedger] = []

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._decoders.close()
        self._closing = True
        self._loader.join()
        self._lanes.close()
        self._spill.close()

    def _load(self, loading: Iterator[Models]) -> None:
        """In a thread of its own; the caller's takes each model, or what kept one from being loaded."""
        try:
            for models in loading:
                if self._closing:
                    return
                self._events.put(partial(self._lanes.use, models))
        except BaseException as error:
            self._load_error = error
            self.wake()

    def run(
        self,
        tasks: Iterable[VideoTask | None],
        *,
        stop: Callable[[], bool] = lambda: False,
        each_turn: Callable[[], None] = lambda: None,
    ) -> Iterator[VideoResult]:
        """Results in the order in which videos finish. New tasks are drawn as there is room.

        None among the tasks means "none now": the engine continues with what it has and asks again, a few
        times a second, and at once after :meth:`wake`. The run is over when ``tasks`` is. Once ``stop()``
        is true, videos that are not finished are given up. ``each_turn`` is called several times a second,
        whatever the videos do.

        Raises what :func:`models_as_they_load` does, DeviceFault where this process has lost its device,
        DeviceUnusable where no process can use it; nothing of the videos in work is known then.
        """
        waiting = Tasks(tasks)
        while not stop():
            each_turn()
            self._feed(waiting)
            self._lanes.dispatch(flush=self._starving())
            if self._load_error is not None:
                raise self._load_error
            if self._lanes.all_there:  # before, nothing is told that a model which does not load would undo
                yield from self._finished()
            if waiting.over and not self._videos:
                return
            if self._videos or waiting.dry:
                self._wait()

    def wake(self) -> None:
        """There may be tasks again, or a reason to stop. Any thread may call this."""
        self._events.put(lambda: None)

    def reading(self) -> Reading:
        """What the stages do, and what waits for them, now. Cheap; any thread may call this."""
        return replace(
            self.meter.reading(self._lanes.computing),
            waiting=self._lanes.waiting,
            halved=self._lanes.halved,
            videos_in_flight=len(self._videos),
            bytes_in_flight=self.bytes_in_flight,
            decoders_waiting=self._decoders_waiting,
        )

    def credit(self, expert: str) -> Credit:
        """Where the items of this expert take their room."""
        return self._credit["device" if self.selection.experts[expert].lane == "device" else "host"]

    @property
    def bytes_in_flight(self) -> int:
        """Of items between decoders and rows."""
        return sum(credit.used for credit in self._credit.values())

    def _feed(self, waiting: Tasks) -> None:
        """Give decoders work, as long as there are tasks."""
        while not self._decoders.all_at_work and len(self._videos) < self.settings.videos_in_flight:
            task = waiting.take()
            if task is None:
                return
            ledger = VideoLedger(task, self.selection, self._spill.path)
            self._videos.append(ledger)
            if ledger.to_decode:
                self._decoders.begin(ledger)
            else:
                ledger.decoded = True
                self._start_text(ledger)

    def _deliver(self, decoder: VideoDecoder, message: messages.Message) -> None:
        if isinstance(message, messages.ItemReady):
            self.credit(message.expert).take(decoder, message.expert, message.item)
        self._events.put(partial(self._handle, decoder, message))

    @property
    def _decoders_waiting(self) -> int:
        return sum(credit.waiting for credit in self._credit.values())

    def _starving(self) -> set[LaneName]:
        """The lanes to which nothing more can come unless a partial batch goes out.

        A lane that has nothing to do while decoders wait for another one's room is not among them: its
        batches may still fill, and go out when they have waited for long.
        """
        if not self._events.empty() or self._decoders_waiting < len(self._decoders):
            return set()
        idle = self._lanes.idle
        return idle if len(idle) == len(self._credit) else {n for n in idle if self._credit[n].waiting}

    def _wait(self) -> None:
        """Handle one event, or all that are there; come back now and then for batches that linger."""
        until = self._now() + WAKE_SECONDS
        try:
            self._events.get(timeout=WAKE_SECONDS)()
            while self._now() < until:
                self._events.get_nowait()()
        except queue.Empty:
            pass

    def _handle(self, decoder: VideoDecoder, message: messages.Message) -> None:
        ledger = self._decoders.video_of(decoder)
        match message:
            case messages.MediaOpened(media):
                ledger.media = media
            case messages.ShotWindow(thumbnails):
                wanted = partial(self._decoders.is_at, decoder, ledger)
                self._lanes.windows.put(WindowRequest(thumbnails, decoder.answer, wanted))
            case messages.ItemReady(expert, item):
                self._queue(ledger, expert, item)
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

    def _release(self, decoder: VideoDecoder, ledger: VideoLedger) -> None:
        self._decoders.release(decoder)
        ledger.decoded = True
        self._start_text(ledger)

    def _queue(self, ledger: VideoLedger, expert: str, item: Item) -> None:
        """An item on its way to the expert's model, or straight to the books where there is none."""
        queued = QueuedItem(ledger, ledger.expect(expert), item)
        if self.selection.experts[expert].lane == "none":
            self._book(expert, queued, PassThrough()([item])[0])
        elif not self.item_unwanted(expert, queued):
            self._lanes.items[expert].put(queued)

    def items_computed(self, batch: ItemBatch) -> None:
        self._events.put(partial(self._take_rows, batch))

    def windows_computed(self, batch: WindowBatch) -> None:
        self._events.put(partial(self._answer, batch))

    def tables_read(self, batch: TableBatch) -> None:
        self._events.put(partial(self._take_items, batch))

    def item_unwanted(self, expert: str, item: QueuedItem) -> bool:
        """Whether its expert has failed on its video; it is booked then, without rows."""
        if expert not in item.video.failures:
            return False
        self._book(expert, item, ())
        return True

    def _returned(self, batch: RequestBatch[Request, Result]) -> None:
        if isinstance(batch.error, DeviceFault | DeviceUnusable):
            raise batch.error  # none of these videos' doing, as far as anybody knows
        self._lanes.returned(batch.queue.lane)
        self.meter.add(batch.queue.lane, batch.seconds, queue=batch.queue.name)

    def _take_rows(self, batch: ItemBatch) -> None:
        """Book the rows of a batch, or pass on what its first step found.

        One that failed is computed again, item by item.
        """
        self._returned(batch)
        expert = batch.queue.name
        if batch.error is None:
            for queued, found in zip(batch.requests, batch.results, strict=True):
                if batch.queue.then is not None:
                    batch.queue.then.put(replace(queued, found=found))
                else:
                    self._book(expert, queued, found)
        elif len(batch.requests) > 1:
            batch.queue.retry_singly(batch.requests)
        else:
            (queued,) = batch.requests
            queued.video.fail(expert, "compute", *_described(batch.error))
            self._book(expert, queued, ())

    def _answer(self, batch: WindowBatch) -> None:
        """The shot network's answers; an error ends the video, whose decoder cannot go on without one."""
        self._returned(batch)
        for index, window in enumerate(batch.requests):
            values = batch.results[index] if batch.error is None else None
            if window.wanted():
                window.answer(messages.WindowAnswer(values, str(batch.error or "")))

    def _take_items(self, batch: TableBatch) -> None:
        """The items of text experts, whose tables have been read."""
        self._returned(batch)
        for index, request in enumerate(batch.requests):
            items = batch.results[index] if batch.error is None else ()
            self._start_items(request.video, request.expert, items, batch.error)

    def _start_items(
        self, ledger: VideoLedger, expert: str, items: Sequence[Item], error: Exception | None
    ) -> None:
        """A text expert's items, all of them; or there are none because of an error."""
        if error is not None:
            ledger.fail(expert, "prepare", *_described(error))
        for item in items:
            self._queue(ledger, expert, item)
        ledger.all_read(expert)
        self._start_text(ledger)

    def _book(self, expert: str, queued: QueuedItem, rows: Sequence[Row]) -> None:
        """An item is done with: its rows to the books, its bytes to the next one."""
        ledger = queued.video
        if ledger.reads_media(expert):
            self.credit(expert).give(queued.item)
        self.meter.add_rows(expert, len(rows))
        ledger.take(expert, queued.number, queued.item, rows)
        self._start_text(ledger)

    def _start_text(self, ledger: VideoLedger) -> None:
        """Start the text experts whose upstream is complete: what they read is cut in the host lane."""
        for name in ledger.text_experts_ready():
            try:
                tables = ledger.upstream_tables(name)
            except Exception as error:
                self._start_items(ledger, name, (), error)
            else:
                self._lanes.tables.put(TableRequest(ledger, name, tables))

    def _finished(self) -> Iterator[VideoResult]:
        for ledger in [video for video in self._videos if video.complete]:
            self._videos.remove(ledger)
            ledger.seal()
            yield VideoResult(ledger.task, ledger.facts, ledger, ledger.outcomes())


def _described(error: Exception) -> tuple[str, str]:
    return type(error).__name__, str(error)

"""The lanes alone, with models that say what they were given."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray

from extract.decoder.messages import WindowAnswer
from extract.detectors.service import Predict
from extract.engine import batches as module
from extract.engine.batches import RequestBatch
from extract.engine.lanes import TABLES, WINDOWS, Lanes, TableBatch, WindowBatch
from extract.engine.ledger import VideoLedger
from extract.engine.machine import Machine
from extract.engine.models import Models
from extract.engine.requests import QueuedItem, TableRequest, WindowRequest
from extract.engine.stages import ItemBatch
from extract.engine.task import VideoTask
from extract.errors import OutOfDeviceMemory
from extract.expert import Expert, Lane, Resources, Streams, TwoStepModel
from extract.ops.network.batching import fixed_batches
from extract.selection import Selection
from extract.types import Item, Row

pytestmark = pytest.mark.usefixtures("nothing_of_others")  # a lane that lacks memory collects garbage
WAIT_SECONDS = 60  # never reached unless something hangs
VIDEO = VideoLedger(VideoTask("a", b"a.mp4", ()), Selection({}, {}, {}, {}, {}), Path())


class One(Expert):
    lane: Lane = "device"

    def streams(self) -> Streams:
        return Streams(audio_rate=16_000)


class Two(Expert):
    lane: Lane = "host"
    upstream = ("one",)

    def read_tables(self, tables: Mapping[str, pa.Table]) -> Iterator[Item]:
        return (item(number) for number in tables["one"]["number"].to_pylist())


class Three(One):
    lane: Lane = "none"


class Bench:
    """Lanes of one device expert ``one`` and one host expert ``two``, and what came back."""

    def __init__(
        self,
        model: Callable[[Sequence[Item]], list[list[Row]]],
        *,
        batch_size: int = 8,
        resources: Resources | None = None,
        predict: Predict | None = None,
        unwanted: Callable[[QueuedItem], bool] = lambda item: False,
        machine: Machine | None = None,
    ) -> None:
        self.back: queue.SimpleQueue[RequestBatch[Any, Any]] = queue.SimpleQueue()
        self.unwanted = unwanted
        self.lanes = Lanes(
            {"one": One(), "two": Two(), "three": Three()},
            Models(
                {"one": model, "two": model},
                predict,
                {} if resources is None else {"one": resources},
                resources,
            ),
            self,
            batch_size=batch_size,
            host_threads=1,
            linger_seconds=1e9,
            machine=machine,
        )

    def items_computed(self, batch: ItemBatch) -> None:
        self.back.put(batch)

    def windows_computed(self, batch: WindowBatch) -> None:
        self.back.put(batch)

    def tables_read(self, batch: TableBatch) -> None:
        self.back.put(batch)

    def item_unwanted(self, expert: str, item: QueuedItem) -> bool:
        return self.unwanted(item)

    def put(self, count: int) -> None:
        for number in range(count):
            self.lanes.items["one"].put(queued(number))

    def next(self) -> RequestBatch[Any, Any]:
        """The next batch that comes back from a flush."""
        self.lanes.dispatch(flush=("device", "host"))
        batch = self.back.get(timeout=WAIT_SECONDS)
        self.lanes.returned(batch.queue.lane)
        return batch


def queued(number: int) -> QueuedItem:
    return QueuedItem(VIDEO, number, item(number))


def item(number: int) -> Item:
    return Item(float(number), float(number + 1), {"value": np.array([number], np.float32)})


def numbers(items: Sequence[Item]) -> list[list[Row]]:
    return [[{"n": int(i.start_seconds)}] for i in items]


def found(batch: RequestBatch[Any, Any]) -> list[int]:
    return [rows[0]["n"] for rows in batch.results]


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*arguments: Any, **keywords: Any) -> Bench:
        made.append(Bench(*arguments, **keywords))
        return made[-1]

    yield make
    for each in made:
        each.lanes.close()


def full() -> torch.OutOfMemoryError:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore of it")


def test_a_batch_that_does_not_fit_is_halved_until_it_does(bench: Callable[..., Bench]) -> None:
    sizes = []

    def model(items: Sequence[Item]) -> list[list[Row]]:
        sizes.append(len(items))
        if len(items) > 3:
            raise full()
        return numbers(items)

    run = bench(model, batch_size=16)
    run.put(10)
    batch = run.next()
    assert batch.error is None
    assert found(batch) == list(range(10))
    assert sizes == [10, 5, 3, 3, 3, 1]
    assert run.lanes.halved == {"one": 2}
    run.put(9)  # and it stays so
    assert len(run.next().requests) == 4


def test_what_a_model_pads_to_a_batch_is_halved_too(bench: Callable[..., Bench]) -> None:
    """A network that always sees whole batches, however few items there are."""
    resources = Resources(batch_size=16)
    shapes = []

    def network(inputs: NDArray[Any]) -> NDArray[Any]:
        shapes.append(len(inputs))
        if len(inputs) > 4:
            raise full()
        return inputs

    def model(items: Sequence[Item]) -> list[list[Row]]:
        inputs = np.stack([i.arrays["value"] for i in items])
        return [[{"n": int(x[0])}] for x in fixed_batches(network, inputs, resources.batch_size)]

    run = bench(model, batch_size=16, resources=resources)
    run.put(3)
    batch = run.next()
    assert found(batch) == [0, 1, 2]
    assert shapes == [16, 8, 4, 4, 4]
    assert resources.batch_size == 4
    # another engine with the same models starts where this one stopped
    other = bench(model, batch_size=16, resources=resources)
    other.put(6)
    assert len(other.next().requests) == 4
    assert other.lanes.halved == {}


def test_an_item_that_never_fits_fails_alone(bench: Callable[..., Bench]) -> None:
    freed: list[int] = []

    def model(items: Sequence[Item]) -> list[list[Row]]:
        if any(i.start_seconds == 2 for i in items):
            freed.append(len(items))
            raise full()
        return numbers(items)

    run = bench(model, batch_size=4)
    run.put(4)
    batch = run.next()
    assert isinstance(batch.error, OutOfDeviceMemory)
    assert freed == [4, 2, 1, 1]  # alone it is tried once more
    run.lanes.items["one"].retry_singly(batch.requests)
    alone = [run.next() for _ in range(4)]
    assert [c.error is None for c in alone] == [True, True, False, True]
    message = str(alone[2].error)
    assert "one item of one" in message and "--device cpu" in message and "\n" not in message
    assert run.lanes.halved == {"one": 2}


def test_it_fits_once_the_cache_is_empty(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When memory is given back, nothing of the failed attempt is held any more."""
    held: list[weakref.ref[Any]] = []
    gone: list[bool] = []
    monkeypatch.setattr(module, "free_device_memory", lambda: gone.append(held[-1]() is None))

    def model(items: Sequence[Item]) -> list[list[Row]]:
        activations = np.zeros(10)
        held.append(weakref.ref(activations))
        if not gone:
            raise full()
        return numbers(items)

    run = bench(model, batch_size=1)
    run.put(1)
    batch = run.next()
    assert batch.error is None and found(batch) == [0]
    assert gone == [True]
    assert run.lanes.halved == {}  # it cannot be smaller than one


def test_windows_that_do_not_fit_are_halved(bench: Callable[..., Bench]) -> None:
    resources = Resources(batch_size=8)

    def predict(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        if resources.batch_size > 2:
            raise full()
        return windows.astype(np.float32)

    run = bench(numbers, resources=resources, predict=predict)
    for number in range(5):
        run.lanes.windows.put(WindowRequest(np.array([number], np.uint8), lambda answer: None, lambda: True))
    batch = run.next()
    assert batch.error is None
    assert [float(answer[0]) for answer in batch.results] == [0, 1, 2, 3, 4]
    assert run.lanes.halved == {WINDOWS: 2}


def test_other_errors_are_not_tried_again(bench: Callable[..., Bench]) -> None:
    calls = []

    def model(items: Sequence[Item]) -> list[list[Row]]:
        calls.append(len(items))
        raise RuntimeError("planted")

    run = bench(model)
    run.put(3)
    assert str(run.next().error) == "planted"
    assert calls == [3]


def test_what_nobody_wants_is_not_computed(bench: Callable[..., Bench]) -> None:
    """Its places in the batch go to others."""
    run = bench(numbers, batch_size=2, unwanted=lambda item: item.number % 2 == 0)
    run.put(7)
    assert found(run.next()) == [1, 3]
    assert found(run.next()) == [5]
    assert run.lanes.waiting["one"] == 0
    run.lanes.items["one"].retry_singly([queued(number) for number in (2, 3)])
    assert found(run.next()) == [3]
    run.lanes.dispatch(flush=("device", "host"))
    assert run.lanes.idle


def test_tables_are_read_in_the_host_lane_before_its_items(bench: Callable[..., Bench]) -> None:
    run = bench(numbers)
    run.lanes.items["two"].put(queued(0))
    run.lanes.tables.put(TableRequest(VIDEO, "two", {"one": pa.table({"number": [5, 6]})}))
    first, second = run.next(), run.next()
    assert (first.queue.name, first.queue.lane) == (TABLES, "host")
    assert [i.start_seconds for i in first.results[0]] == [5, 6]
    assert found(second) == [0]


def test_a_second_step_goes_on_in_the_device_lane(bench: Callable[..., Bench]) -> None:
    """One by one on the host, then together, on the device."""

    class InTwo(TwoStepModel):
        def first(self, items: Sequence[Item]) -> list[Any]:
            threads.append(threading.current_thread().name.partition("_")[0])
            return [10 * item.start_seconds for item in items]

        def second(self, items: Sequence[Item], found: Sequence[Any]) -> list[list[Row]]:
            threads.append(threading.current_thread().name.partition("_")[0])
            return [[{"n": int(value)}] for value in found]

    threads: list[str] = []
    run = bench(InTwo(), resources=Resources())
    for number in range(3):
        run.lanes.items["two"].put(queued(number))
    first = [run.next() for _ in range(3)]
    for batch in first:
        assert batch.queue is run.lanes.items["two"]
        batch.queue.then.put(replace(batch.requests[0], found=batch.results[0]))  # type: ignore[union-attr]
    assert run.lanes.waiting["two"] == 3
    batch = run.next()
    assert found(batch) == [0, 10, 20] and batch.queue.lane == "device"
    assert threads == ["host"] * 3 + ["device"]


def test_a_computation_is_seen_while_it_goes_on(bench: Callable[..., Bench]) -> None:
    seen: list[Any] = []

    def model(items: Sequence[Item]) -> list[list[Row]]:
        seen.extend(run.lanes.computing)
        return numbers(items)

    run: Bench = bench(model)
    run.put(2)
    run.next()
    assert [lane for lane, _ in seen] == ["device"]
    assert run.lanes.computing == []


def test_the_first_halving_starts_from_what_the_network_takes(bench: Callable[..., Bench]) -> None:
    """A network that takes eight at most, whatever the batch size of the run is."""
    resources = Resources(device="cuda:0", batch_size=64)
    sizes = []

    def model(items: Sequence[Item]) -> list[list[Row]]:
        sizes.append(resources.at_most(8))
        if resources.batch_size > 2:
            raise full()
        return numbers(items)

    run = bench(model, batch_size=64, resources=resources)
    run.put(5)
    batch = run.next()
    assert batch.error is None and found(batch) == list(range(5))
    assert sizes == [8, 4, 2, 2, 2]
    assert run.lanes.halved == {"one": 2}


def test_memory_that_is_missing_by_another_name_halves_too(bench: Callable[..., Bench]) -> None:
    sizes = []

    def model(items: Sequence[Item]) -> list[list[Row]]:
        sizes.append(len(items))
        if len(items) > 1:
            raise RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED")
        return numbers(items)

    run = bench(model, batch_size=4)
    run.put(2)
    assert found(run.next()) == [0, 1]
    assert sizes == [2, 1, 1]


def test_windows_have_their_turn_between_the_parts_of_a_long_batch() -> None:
    """On a clock that a model sets: its second batch is known to take long, and is cut."""
    seconds, order, answers = [0.0], list[str](), list[WindowAnswer]()

    def model(items: Sequence[Item]) -> list[list[Row]]:
        seconds[0] += len(items)
        order.append(f"{len(items)} items")
        if len(order) == 2:
            run.lanes.windows.put(WindowRequest(np.zeros(1, np.uint8), answers.append, lambda: True))
            run.lanes.dispatch()
        return numbers(items)

    def predict(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        seconds[0] += 0.5
        order.append("window")
        return np.zeros((len(windows), 50), np.float32)

    run = Bench(model, batch_size=64, predict=predict)
    run.lanes.items["one"].now = run.lanes.windows.now = lambda: seconds[0]
    run.put(64)
    run.next()
    run.put(64)
    run.lanes.dispatch(flush=("device",))
    window, items = (run.back.get(timeout=WAIT_SECONDS) for _ in range(2))
    run.lanes.close()
    assert order == ["64 items", "16 items", "window", "16 items", "16 items", "16 items"]
    assert (window.seconds, items.seconds) == (0.5, 64.0)
    assert found(items) == list(range(64))

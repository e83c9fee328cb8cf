"""The steps of a staged model side by side: what waits for what, and what becomes of errors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from extract.engine.machine import Machine
from extract.engine.requests import WindowRequest
from extract.errors import DeviceFault
from extract.expert import Item, Resources, Row, Stacked, StagedModel
from extract.ops.network.streams import DeviceStreams, Uploaded
from tests.extract.engine.test_lanes import WAIT_SECONDS, Bench, found, full, numbers

PART = 2


class NoStreams:
    """A device whose memory is the host's."""

    def upload(self, arrays: Stacked) -> Stacked:
        return arrays

    def compute(self, model: StagedModel, uploaded: Any) -> Any:
        return model.compute(uploaded)

    def download(self, outputs: Any) -> NDArray[np.floating]:
        return np.asarray(outputs)


class WithStages(Machine):
    def streams(self, device: str) -> NoStreams:
        return NoStreams()


class Model(StagedModel):
    """Doubles numbers; keeps what happened in order. ``step`` is called in each step: its name, its part."""

    def __init__(self, step: Callable[[str, int], None] = lambda name, part: None) -> None:
        self.resources = Resources(device="cuda:0", batch_size=16)
        self.log: list[tuple[str, int]] = []
        self.alone: list[int] = []
        self._step = step

    @property
    def items_at_once(self) -> int:
        return PART

    def stack(self, items: Sequence[Item]) -> Stacked:
        self._at("stack", int(items[0].start_seconds) // PART)
        return [np.array([item.start_seconds for item in items])]

    def compute(self, inputs: Sequence[Any]) -> Any:
        self._at("compute", int(inputs[0][0]) // PART)
        self.log.append(("computed", int(inputs[0][0]) // PART))
        return inputs[0] * 2

    def rows(self, items: Sequence[Item], values: NDArray[np.floating]) -> list[list[Row]]:
        self._at("rows", int(items[0].start_seconds) // PART)
        return [[{"n": int(value) // 2}] for value in values]

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        self.alone.append(len(items))
        return numbers(items)

    def _at(self, name: str, part: int) -> None:
        self.log.append((name, part))
        self._step(name, part)


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(model: Model, machine: Machine | None = None, **keywords: Any) -> Bench:
        machine = machine or WithStages()
        made.append(Bench(model, batch_size=16, resources=model.resources, machine=machine, **keywords))
        return made[-1]

    yield make
    for each in made:
        each.lanes.close()


def test_parts_are_stacked_and_read_while_others_are_computed(bench: Callable[..., Bench]) -> None:
    """Each computing waits until its neighbours are at work; it would wait in vain in one thread."""
    stacked, read = (tuple(threading.Event() for _ in range(6)) for _ in range(2))

    def step(name: str, part: int) -> None:
        if name == "compute":
            assert part == 4 or stacked[part + 1].wait(WAIT_SECONDS)
            assert part == 0 or read[part - 1].wait(WAIT_SECONDS)
        else:
            (stacked if name == "stack" else read)[part].set()

    model = Model(step)
    run = bench(model)
    run.put(10)
    batch = run.next()
    assert batch.error is None and found(batch) == list(range(10))
    assert batch.seconds > 0 and not model.alone
    order = {event: place for place, event in enumerate(model.log)}
    for part in range(3):  # no more than two parts are stacked and not yet computed
        assert order["stack", part + 2] > order["computed", part]


def test_what_does_not_fit_is_computed_the_simple_way(bench: Callable[..., Bench]) -> None:
    def step(name: str, part: int) -> None:
        if (name, part) == ("compute", 1):
            raise full()

    model = Model(step)
    run = bench(model)
    run.put(6)
    batch = run.next()
    assert batch.error is None and found(batch) == list(range(6))
    assert sum(model.alone) == 6
    assert ("compute", 2) not in model.log


@pytest.mark.parametrize("name", ["stack", "compute", "rows"])
def test_an_error_of_any_step_is_the_batchs(bench: Callable[..., Bench], name: str) -> None:
    def step(here: str, part: int) -> None:
        if (here, part) == (name, 1):
            raise ValueError("no such number")

    run = bench(Model(step))
    run.put(6)
    batch = run.next()
    assert isinstance(batch.error, ValueError) and not batch.results
    run.put(2)  # and the next batch is computed
    assert found(run.next()) == [0, 1]


def test_rows_are_in_order_whichever_thread_hands_parts_on_first(bench: Callable[..., Bench]) -> None:
    """The owner's thread is held up between its choice of a part and the pool until the device's has one."""
    computing, go_on, overtaken = (threading.Event() for _ in range(3))
    owner = threading.get_ident()

    class HeldUp(ThreadPoolExecutor):
        def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            if threading.get_ident() != owner:
                future = super().submit(call, *args, **kwargs)
                overtaken.set()
                return future
            if computing.is_set():
                go_on.set()
                overtaken.wait(0.3)
            return super().submit(call, *args, **kwargs)

    class OneHeldUp(WithStages):
        def pool(self, name: str, threads: int) -> Executor:
            return HeldUp(threads) if name == "stack" else super().pool(name, threads)

    def step(name: str, part: int) -> None:
        if name == "compute" and not go_on.is_set():
            computing.set()
            assert go_on.wait(WAIT_SECONDS)

    run = bench(Model(step), OneHeldUp())
    run.put(2)
    run.lanes.dispatch(flush=("device",))
    assert computing.wait(WAIT_SECONDS)
    run.put(4)
    run.lanes.dispatch(flush=("device",))
    assert [found(run.back.get(timeout=WAIT_SECONDS)) for _ in range(2)] == [[0, 1], [0, 1, 2, 3]]


def test_a_model_with_too_few_rows_is_told_so(bench: Callable[..., Bench]) -> None:
    class Short(Model):
        def rows(self, items: Sequence[Item], values: NDArray[np.floating]) -> list[list[Row]]:
            return super().rows(items, values[:1])

    run = bench(Short())
    run.put(2)
    batch = run.next()
    assert str(batch.error) == "one gave 1 results for 2 items" and not batch.results


def test_a_broken_device_is_told_from_other_errors(bench: Callable[..., Bench]) -> None:
    def step(name: str, part: int) -> None:
        if name == "compute":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    run = bench(Model(step))
    run.put(2)
    assert isinstance(run.next().error, DeviceFault)


def test_windows_go_before_the_parts_of_a_batch(bench: Callable[..., Bench]) -> None:
    computing, asked, answered = (threading.Event() for _ in range(3))

    def step(name: str, part: int) -> None:
        if (name, part) == ("compute", 0):
            computing.set()
            assert asked.wait(WAIT_SECONDS)
        if (name, part) == ("compute", 1):
            assert answered.is_set()

    def predict(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        answered.set()
        return np.zeros((len(windows), 50), np.float32)

    run = bench(Model(step), predict=predict)
    run.put(16)
    run.lanes.dispatch(flush=("device",))
    assert computing.wait(WAIT_SECONDS)
    run.lanes.windows.put(WindowRequest(np.zeros(1, np.uint8), lambda answer: None, lambda: True))
    run.lanes.dispatch()
    asked.set()
    names = {run.back.get(timeout=WAIT_SECONDS).queue.name for _ in range(2)}
    assert names == {"windows", "one"}


def test_on_a_cpu_the_model_is_called(bench: Callable[..., Bench]) -> None:
    model = Model()
    model.resources = Resources(device="cpu", batch_size=16)
    run = bench(model)
    run.put(3)
    assert found(run.next()) == [0, 1, 2]
    assert model.alone == [3] and not model.log


def test_each_way_has_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Computing waits for the copy, the copy back for nothing but its own: CUDA is pretended."""
    said: list[str] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def record_event(self) -> str:
            said.append(f"event on {self.name}")
            return f"event of {self.name}"

        def wait_event(self, event: str) -> None:
            said.append(f"{self.name} waits for {event}")

        def synchronize(self) -> None:
            said.append(f"host waits for {self.name}")

        def __enter__(self) -> None:
            said.append(f"on {self.name}")

        def __exit__(self, *_: object) -> None:
            said.append(f"off {self.name}")

    names = iter(["up", "down"])
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(next(names)))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("main"))
    monkeypatch.setattr(
        "extract.ops.network.streams.to_device", lambda array, device: torch.from_numpy(array)
    )
    kept: Any = lambda self, stream: said.append(f"kept for {stream.name}")  # noqa: E731
    monkeypatch.setattr(torch.Tensor, "record_stream", kept)
    streams = DeviceStreams("cuda:0")
    uploaded = streams.upload([np.arange(4.0)])
    assert isinstance(uploaded, Uploaded)
    outputs = streams.compute(Model(), uploaded)
    assert streams.download(outputs).tolist() == [0.0, 2.0, 4.0, 6.0]
    assert said == [
        "on up", "event on up", "off up",
        "main waits for event of up", "kept for main", "host waits for main",
        "on down", "off down",
    ]  # fmt: skip


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_all_parts_whatever_else_is_copied(bench: Callable[..., Bench]) -> None:
    """Large parts of several sizes, so that a copy that is read too early, or overwritten, would show."""

    class Sums(Model):
        def stack(self, items: Sequence[Item]) -> Stacked:
            numbers = np.array([item.start_seconds for item in items], np.float32)
            return [np.repeat(numbers[:, None], (1 + int(numbers[0]) % 7) << 18, axis=1)]

        def compute(self, inputs: Sequence[Any]) -> Any:
            return inputs[0].mean(1) * 2

    run = bench(Sums(), Machine())
    for _ in range(8):
        run.put(16)
        batch = run.next()
        assert batch.error is None and found(batch) == list(range(16))

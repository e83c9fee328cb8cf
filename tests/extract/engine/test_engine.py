"""The engine on real decoder processes, with an expert that can be told to go wrong."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.decoder.owner import Decoder
from extract.engine import engine as module
from extract.engine.engine import Engine, VideoResult
from extract.engine.meter import Reading
from extract.engine.models import Models
from extract.engine.settings import EngineSettings
from extract.engine.task import VideoTask
from extract.errors import UsageError
from extract.expert import Model, PassThrough, Resources
from extract.selection import ExtractConfig, Selection, select
from extract.types import Item, Row

CONTENT = {"detector": "content"}
PATIENCE_SECONDS = 60.0  # never reached unless something hangs

pytestmark = pytest.mark.usefixtures("planted_experts")

Run = Callable[..., dict[str, VideoResult]]


@pytest.fixture
def run() -> Iterator[Run]:
    engines = []

    def go(paths: list[Path], *, experts: tuple[str, ...] = ("trouble",), **choice: Any) -> dict[str, Any]:
        settings = choice.pop("settings", EngineSettings())
        options = {"scenes": CONTENT, **choice.pop("options", {})}
        config = ExtractConfig(experts=experts, options=options, device="cpu", dtype="float32", **choice)
        engine = Engine(selection := select(config), settings)
        engines.append(engine)
        tasks = [VideoTask(p.stem, os.fsencode(p), tuple(selection.experts)) for p in paths]
        return {result.task.video_id: result for result in engine.run(tasks)}

    yield go
    for engine in engines:
        engine.close()


def planted(experts: Sequence[str] = ("trouble",), **options: Any) -> Selection:
    return select(
        ExtractConfig(
            experts=tuple(experts), options={"scenes": CONTENT, **options}, device="cpu", dtype="float32"
        )
    )


def task(path: Path, selection: Selection) -> VideoTask:
    return VideoTask(path.stem, os.fsencode(path), tuple(selection.experts))


def with_model(model: Model, **resources: Resources) -> Models:
    return Models({"scenes": PassThrough(), "trouble": model}, resources=resources)


def rows_of(items: Sequence[Item]) -> list[list[Row]]:
    return [[item.row(embedding=item.arrays["mean"])] for item in items]


def tables(result: VideoResult) -> dict[str, Any]:
    return {n: b.table().to_pydict() for tables in result.ledger.buffers.values() for n, b in tables.items()}


def states(result: VideoResult) -> dict[str, str]:
    return {name: outcome.state for name, outcome in result.outcomes.items()}


def test_no_more_decoders_start_than_there_are_videos(
    small_trailers: list[Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Decoder] = []
    begin = Decoder._start

    def counted(decoder: Decoder) -> Any:
        started.append(decoder)
        return begin(decoder)

    monkeypatch.setattr(Decoder, "_start", counted)
    run(small_trailers[:1], settings=EngineSettings(decoders=8))
    assert len(started) == 1


def test_rows_do_not_depend_on_batches_or_decoders(small_trailers: list[Path], run: Run) -> None:
    one = run(small_trailers, settings=EngineSettings(decoders=1, batch_size=1))
    many = run(small_trailers[::-1], settings=EngineSettings(decoders=3, batch_size=64, host_threads=3))
    for name, result in one.items():
        assert states(result) == {"scenes": "ok", "trouble": "ok"}
        assert tables(result) == tables(many[name])
        assert tables(result)["trouble"]["scene"] == tables(result)["scenes"]["scene"]


@pytest.mark.parametrize(("kind", "stage"), [("tap", "prepare"), ("model", "compute")])
def test_a_failing_expert_costs_itself_on_that_video(
    small_trailers: list[Path], run: Run, kind: str, stage: str
) -> None:
    results = run(small_trailers, options={"trouble": {"kind": kind, "file": "b.mp4"}})
    assert states(results["a"]) == states(results["c"]) == {"scenes": "ok", "trouble": "ok"}
    assert states(results["b"]) == {"scenes": "ok", "trouble": "failed"}
    failure = results["b"].outcomes["trouble"].failure
    assert failure is not None
    assert (failure.stage, failure.error_type) == (stage, "RuntimeError")
    assert "planted" in failure.message


@pytest.mark.parametrize(
    ("kind", "error_type", "message"),
    [("abort", "DecoderCrash", "SIGABRT"), ("hang", "DecoderHang", "did not respond for 3 s")],
)
def test_a_decoder_that_dies_or_hangs_costs_one_video(
    small_trailers: list[Path], run: Run, kind: str, error_type: str, message: str
) -> None:
    settings = EngineSettings(decoders=1, stall_seconds=3.0 if kind == "hang" else PATIENCE_SECONDS)
    results = run(small_trailers, options={"trouble": {"kind": kind, "file": "a.mp4"}}, settings=settings)
    assert states(results["b"]) == states(results["c"]) == {"scenes": "ok", "trouble": "ok"}
    assert states(results["a"]) == {"scenes": "failed", "trouble": "failed"}
    failure = results["a"].outcomes["scenes"].failure
    assert failure is not None
    assert failure.error_type == error_type
    assert message in failure.message


def test_items_in_flight_are_bounded_without_a_deadlock(small_trailers: list[Path], run: Run) -> None:
    """A queue smaller than one item, and batches larger than all items."""
    settings = EngineSettings(decoders=2, batch_size=1000, queue_bytes=1)
    results = run(small_trailers, settings=settings)
    assert {name: states(result)["trouble"] for name, result in results.items()} == dict.fromkeys("abc", "ok")


def test_stored_scenes_give_the_same_keyframes_without_a_pass(small_trailers: list[Path], run: Run) -> None:
    first = run(small_trailers[:1])["a"]
    stored = {"scenes": first.ledger.buffers["scenes"]["scenes"].table()}
    selection = planted()
    with Engine(selection) as engine:
        task = VideoTask("a", os.fsencode(small_trailers[0]), ("trouble",), tables={"scenes": stored})
        (again,) = engine.run([task])
    assert tables(again)["trouble"] == tables(first)["trouble"]


def test_tables_can_be_read_without_a_model(small_trailers: list[Path], run: Run) -> None:
    result = run(small_trailers[:1], experts=("recount",))["a"]
    assert states(result)["recount"] == "ok"
    assert tables(result)["recount"]["scene"] == tables(result)["trouble"]["scene"]


def test_a_video_that_cannot_be_opened_fails_with_a_record(tmp_path: Path, run: Run) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a film")
    result = run([text])["text"]
    assert states(result) == {"scenes": "failed", "trouble": "failed"}
    failure = result.outcomes["trouble"].failure
    assert failure is not None
    assert failure.error_type == "MediaError"


def test_a_failing_shot_network_costs_each_video_itself(small_trailers: list[Path]) -> None:
    """Answers that a failed video did not wait for never reach the decoder's next video."""
    calls = 0

    def predict(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal calls
        calls += 1
        if calls == 1:
            time.sleep(0.5)  # so that the video's other windows are on their way
            raise RuntimeError("planted in the shot network")
        return np.zeros((len(windows), 50), np.float32)

    selection = select(ExtractConfig(experts=("scenes",), device="cpu"))
    models = Models({"scenes": PassThrough()}, predict)
    tasks = [VideoTask(p.stem, os.fsencode(p), ("scenes",)) for p in small_trailers]
    with Engine(selection, EngineSettings(decoders=1, batch_size=1), models=models) as engine:
        results = {result.task.video_id: result for result in engine.run(tasks)}
        assert [states(results[name])["scenes"] for name in "abc"] == ["failed", "ok", "ok"]
        failure = results["a"].outcomes["scenes"].failure
        assert failure is not None and "planted in the shot network" in failure.message
        assert [results[name].ledger.buffers["scenes"]["scenes"].rows for name in "bc"] == [1, 1]


def test_none_among_the_tasks_means_none_now(small_trailers: list[Path]) -> None:
    """The next task comes only when the last video is done: its partial batch must not wait for it."""
    selection = planted()
    finished: list[str] = []
    asked = 0

    def tasks() -> Iterator[VideoTask | None]:
        nonlocal asked
        deadline = time.monotonic() + PATIENCE_SECONDS
        for number, path in enumerate(small_trailers):
            while len(finished) < number:
                assert time.monotonic() < deadline, "the last batch of a video never went out"
                asked += 1
                yield None
            yield task(path, selection)

    with Engine(selection, EngineSettings(batch_size=1000)) as engine:
        engine._lanes._linger_seconds = 1e9
        for result in engine.run(tasks()):
            assert states(result)["trouble"] == "ok"
            finished.append(result.task.video_id)
    assert finished == ["a", "b", "c"]
    assert asked > 0


def test_a_call_wakes_an_engine_that_has_nothing_to_do(
    small_trailers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAKE_SECONDS", 1e6)
    selection = planted()
    asked, more = threading.Event(), threading.Event()

    def tasks() -> Iterator[VideoTask | None]:
        while not more.is_set():
            asked.set()
            yield None
        yield task(small_trailers[0], selection)

    with Engine(selection) as engine:

        def call() -> None:
            asked.wait(PATIENCE_SECONDS)
            more.set()
            engine.wake()

        thread = threading.Thread(target=call)
        thread.start()
        (result,) = engine.run(tasks())
        thread.join()
    assert states(result) == {"scenes": "ok", "trouble": "ok"}


def test_a_run_that_waits_for_tasks_can_be_stopped(small_trailers: list[Path]) -> None:
    asked = 0

    def tasks() -> Iterator[None]:
        nonlocal asked
        while True:
            asked += 1
            yield None

    with Engine(planted()) as engine:
        assert list(engine.run(tasks(), stop=lambda: asked > 2)) == []


def test_memory_pressure_changes_no_row(small_trailers: list[Path], run: Run) -> None:
    """The model pads to its batch size, as networks do, and the device has room for two."""
    import torch

    usual = run(small_trailers)
    resources = Resources(batch_size=16)

    def model(items: Sequence[Item]) -> list[list[Row]]:
        if resources.batch_size > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return rows_of(items)

    selection = planted()
    models = with_model(model, trouble=resources)
    with Engine(selection, models=models) as engine:
        results = {r.task.video_id: r for r in engine.run(task(path, selection) for path in small_trailers)}
        reading = engine.reading()
        assert {name: tables(result) for name, result in results.items()} == {
            name: tables(result) for name, result in usual.items()
        }
    assert resources.batch_size == 2
    assert reading.halved == {"trouble": 3}
    scenes = sum(len(tables(result)["scenes"]["scene"]) for result in usual.values())
    assert reading.rows == {"scenes": scenes, "trouble": scenes}


def test_an_item_too_large_for_the_device_costs_its_video(small_trailers: list[Path]) -> None:
    import torch

    def model(items: Sequence[Item]) -> list[list[Row]]:
        if any(item.arrays["bad"][0] for item in items):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return rows_of(items)

    selection = planted(trouble={"kind": "model", "file": "b.mp4"})
    with Engine(selection, models=with_model(model)) as engine:
        results = {r.task.video_id: r for r in engine.run(task(path, selection) for path in small_trailers)}
        assert [states(results[name])["trouble"] for name in "abc"] == ["ok", "failed", "ok"]
        failure = results["b"].outcomes["trouble"].failure
        assert failure is not None
        assert (failure.stage, failure.error_type) == ("compute", "OutOfDeviceMemory")
        assert "--device cpu" in failure.message


def test_items_of_a_failed_expert_are_dropped_unseen(small_trailers: list[Path]) -> None:
    """Of three items one is computed and one is on its way to the lane when the expert fails."""
    seen: list[int] = []

    def model(items: Sequence[Item]) -> list[list[Row]]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not seen and engine.reading().waiting["trouble"] < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.extend(item.columns["scene"] for item in items)
        raise RuntimeError("planted")

    selection = planted()
    with Engine(selection, EngineSettings(batch_size=1), models=with_model(model)) as engine:
        (result,) = engine.run([task(small_trailers[0], selection)])
        assert states(result) == {"scenes": "ok", "trouble": "failed"}
        assert seen == [0, 1]
        reading = engine.reading()
        assert (reading.bytes_in_flight, reading.videos_in_flight, reading.waiting["trouble"]) == (0, 0, 0)


def test_a_reading_counts_what_is_in_flight(small_trailers: list[Path]) -> None:
    readings: list[Reading] = []

    def model(items: Sequence[Item]) -> list[list[Row]]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not readings and engine.reading().decoders_waiting < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        readings.append(engine.reading())
        return rows_of(items)

    selection = planted()
    settings = EngineSettings(decoders=1, batch_size=1, queue_bytes=1)
    with Engine(selection, settings, models=with_model(model)) as engine:
        list(engine.run([task(small_trailers[0], selection)]))
        last = engine.reading()
    first = readings[0]
    assert (first.videos_in_flight, first.decoders_waiting) == (1, 1)
    assert first.bytes_in_flight > 0 and first.busy["device"] > 0
    assert first.waiting == {"windows": 0, "tables": 0, "trouble": 0}
    assert (last.videos_in_flight, last.decoders_waiting, last.bytes_in_flight) == (0, 0, 0)
    assert last.rows == {"scenes": 3, "trouble": 3}


@pytest.mark.parametrize(("kind", "what"), [("grow", "changed"), ("remove", "vanished")])
def test_a_file_that_changes_while_it_is_read_gives_no_rows(
    small_trailers: list[Path], tmp_path: Path, run: Run, kind: str, what: str
) -> None:
    paths = [Path(shutil.copy(path, tmp_path)) for path in small_trailers[:2]]
    results = run(paths, options={"trouble": {"kind": kind, "file": "b.mp4"}})
    assert states(results["a"]) == {"scenes": "ok", "trouble": "ok"}
    assert states(results["b"]) == {"scenes": "failed", "trouble": "failed"}
    failure = results["b"].outcomes["scenes"].failure
    assert failure is not None
    assert (failure.stage, failure.error_type) == ("decode", "MediaChanged")
    assert f"{what} while it was read: run again" in failure.message
    assert [table["video_id"] for table in tables(results["b"]).values()] == [[], []]


def test_a_file_that_is_not_there_fails_with_its_name(tmp_path: Path, run: Run) -> None:
    result = run([tmp_path / "gone.mp4"])["gone"]
    failure = result.outcomes["scenes"].failure
    assert failure is not None
    assert failure.stage == "decode" and "gone.mp4' cannot be opened (No such file" in failure.message


def test_tables_are_read_beside_the_engines_thread(small_trailers: list[Path], run: Run) -> None:
    results = run(small_trailers, experts=("retell",), settings=EngineSettings(batch_size=2, host_threads=2))
    for result in results.values():
        assert states(result) == {"scenes": "ok", "trouble": "ok", "retell": "ok"}
        told = tables(result)["retell"]
        assert told["scene"] == tables(result)["trouble"]["scene"] != []
        assert all(name.startswith("host") for name in told["thread"])


def test_a_text_expert_that_cannot_read_costs_itself(small_trailers: list[Path], run: Run) -> None:
    options = {"retell": {"kind": "read"}, "trouble": {"kind": "model", "file": "b.mp4"}}
    results = run(small_trailers, experts=("retell",), options=options)
    assert states(results["a"]) == {"scenes": "ok", "trouble": "ok", "retell": "failed"}
    failures = [results[name].outcomes["retell"].failure for name in "ab"]
    assert [(f.stage, f.error_type) for f in failures if f] == [
        ("prepare", "RuntimeError"),
        ("upstream", "UpstreamFailed"),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"decoders": -1}, "decoders is -1; at least 1 is needed"),
        ({"batch_size": 0}, "batch_size is 0; at least 1 is needed"),
        ({"queue_bytes": 0.5}, "queue_bytes is 0.5; a whole number is needed"),
        ({"stall_seconds": 0}, "stall_seconds is 0.0; more than 0 is needed"),
        ({"threads": 2}, "EngineSettings has no field 'threads'"),
    ],
)
def test_wrong_settings_are_refused_in_a_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EngineSettings(**given)

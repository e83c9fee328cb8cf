"""The engine on real decoder processes, with an expert that can be told to go wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.engine import Engine, EngineSettings, VideoResult, VideoTask
from extract.expert import PassThrough
from extract.models import Models
from extract.selection import select

CONTENT = {"detector": "content"}

pytestmark = pytest.mark.usefixtures("planted_experts")

Run = Callable[..., dict[str, VideoResult]]


@pytest.fixture
def run() -> Iterator[Run]:
    engines = []

    def go(paths: list[Path], *, experts: tuple[str, ...] = ("trouble",), **choice: Any) -> dict[str, Any]:
        settings = choice.pop("settings", EngineSettings())
        options = {"scenes": CONTENT, **choice.pop("options", {})}
        selection = select(experts, options=options, device="cpu", dtype="float32", **choice)
        engine = Engine(selection, settings)
        engines.append(engine)
        tasks = [VideoTask(p.stem, os.fsencode(p), tuple(selection.experts)) for p in paths]
        return {result.task.video_id: result for result in engine.run(tasks)}

    yield go
    for engine in engines:
        engine.close()


def tables(result: VideoResult) -> dict[str, Any]:
    return {n: b.table().to_pydict() for tables in result.ledger.buffers.values() for n, b in tables.items()}


def states(result: VideoResult) -> dict[str, str]:
    return {name: outcome.state for name, outcome in result.outcomes.items()}


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
    [("abort", "DecoderCrash", "SIGABRT"), ("hang", "DecoderHang", "no sign of life for 3 s")],
)
def test_a_decoder_that_dies_or_hangs_costs_one_video(
    small_trailers: list[Path], run: Run, kind: str, error_type: str, message: str
) -> None:
    settings = EngineSettings(decoders=1, stall_seconds=3.0)
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
    from extract.experts.scenes import scene_from_row

    first = run(small_trailers[:1])["a"]
    scenes = tuple(
        scene_from_row(row) for row in first.ledger.buffers["scenes"]["scenes"].table().to_pylist()
    )
    selection = select(["trouble"], options={"scenes": CONTENT}, device="cpu", dtype="float32")
    with Engine(selection) as engine:
        task = VideoTask("a", os.fsencode(small_trailers[0]), ("trouble",), scenes=scenes)
        (again,) = engine.run([task])
    assert tables(again)["trouble"] == tables(first)["trouble"]


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

    selection = select(["scenes"], device="cpu")
    models = Models({"scenes": PassThrough()}, predict)
    tasks = [VideoTask(p.stem, os.fsencode(p), ("scenes",)) for p in small_trailers]
    with Engine(selection, EngineSettings(decoders=1, batch_size=1), models=models) as engine:
        results = {result.task.video_id: result for result in engine.run(tasks)}
        assert [states(results[name])["scenes"] for name in "abc"] == ["failed", "ok", "ok"]
        failure = results["a"].outcomes["scenes"].failure
        assert failure is not None and "planted in the shot network" in failure.message
        assert [results[name].ledger.buffers["scenes"]["scenes"].rows for name in "bc"] == [1, 1]

"""Videos and models at the start of a run, on real decoder processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from extract.declarations import Model
from extract.decoder.messages import MediaOpened, Message, VideoFailed
from extract.decoder.owner import Decoder
from extract.engine import engine as engine_module
from extract.engine.engine import Engine
from extract.engine.machine import Machine
from extract.engine.models import Models, models_as_they_load
from extract.engine.task import VideoTask
from extract.errors import WeightsError
from extract.selection import ExtractConfig, Selection, select
from extract.types import Item, Row

PATIENCE_SECONDS = 60.0  # never reached unless something hangs

pytestmark = pytest.mark.usefixtures("planted_experts")


def planted(paths: list[Path], *experts: str) -> tuple[Selection, list[VideoTask]]:
    options = {"scenes": {"detector": "content"}}
    config = ExtractConfig(experts=experts or ("trouble",), options=options, device="cpu", dtype="float32")
    selection = select(config)
    return selection, [VideoTask(p.stem, os.fsencode(p), tuple(selection.experts)) for p in paths]


class Listening(Machine):
    """Whose decoders are heard: ``heard`` is set once a message of this kind has been delivered."""

    def __init__(self, kind: type[Any]) -> None:
        self.heard = threading.Event()
        self._kind = kind

    def decoder(self, deliver: Callable[[Any, Message], None], *, stall_seconds: float) -> Decoder:
        def listen(decoder: Any, message: Message) -> None:
            deliver(decoder, message)
            if isinstance(message, self._kind):
                self.heard.set()

        return Decoder(listen, stall_seconds=stall_seconds)


def test_decoders_work_while_the_models_load(
    small_trailers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The models are there only once a decoder has sent something."""
    machine = Listening(MediaOpened)

    def load(selection: Selection, *, batch_size: int) -> Iterator[Models]:
        first, *others = models_as_they_load(selection, batch_size=batch_size)
        yield first
        assert machine.heard.wait(PATIENCE_SECONDS), "no decoder began"
        yield from others

    monkeypatch.setattr(engine_module, "models_as_they_load", load)
    selection, tasks = planted(small_trailers)
    with Engine(selection, machine=machine) as engine:
        assert set(engine.reading().waiting.values()) == {0}  # asked at any time, never waits
        assert [result.outcomes["trouble"].state for result in engine.run(tasks)] == ["ok"] * 3


def test_what_is_loaded_computes_while_others_load(
    small_trailers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second model is there only once the first one has been called."""
    computed = threading.Event()

    def load(selection: Selection, *, batch_size: int) -> Iterator[Models]:
        for models in models_as_they_load(selection, batch_size=batch_size):
            noting = {name: partial(note, name, model) for name, model in models.by_expert.items()}
            yield replace(models, by_expert=noting)
            if "trouble" in models.by_expert and not models.all_there:
                assert computed.wait(PATIENCE_SECONDS), "the first model waited for the second one"

    def note(name: str, model: Model, items: Sequence[Item]) -> list[list[Row]]:
        if name == "trouble":
            computed.set()
        return model(items)

    monkeypatch.setattr(engine_module, "models_as_they_load", load)
    selection, tasks = planted(small_trailers, "trouble", "retell")
    with Engine(selection) as engine:
        outcomes = [result.outcomes for result in engine.run(tasks)]
    assert {outcome.state for of in outcomes for outcome in of.values()} == {"ok"}


@pytest.mark.parametrize(("device", "counts"), [("cpu", [0, 0, 1, 2, 3]), ("cuda:0", [0, 3])])
def test_on_an_accelerator_all_models_come_at_once(device: str, counts: list[int]) -> None:
    """What computes there would take memory that a network still needs."""
    selection, _ = planted([], "trouble", "retell")
    selection = replace(selection, device=device)
    assert [len(m.by_expert) for m in models_as_they_load(selection, batch_size=1)] == counts


def test_a_model_that_cannot_be_loaded_ends_the_run(
    small_trailers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(selection: Selection, *, batch_size: int) -> Iterator[Models]:
        yield Models({}, all_there=False)
        raise WeightsError("planted")

    monkeypatch.setattr(engine_module, "models_as_they_load", load)
    selection, tasks = planted(small_trailers)
    with Engine(selection) as engine:
        for _ in range(2):
            with pytest.raises(WeightsError, match=r"^planted$"):
                list(engine.run(tasks))


def test_a_video_that_needs_no_model_waits_for_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run whose videos are all broken would end well, though its models cannot be loaded."""
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    machine = Listening(VideoFailed)

    def load(selection: Selection, *, batch_size: int) -> Iterator[Models]:
        yield Models({}, all_there=False)
        assert machine.heard.wait(PATIENCE_SECONDS), "the video was never given up"
        raise WeightsError("planted")

    monkeypatch.setattr(engine_module, "models_as_they_load", load)
    selection, tasks = planted([broken])
    with Engine(selection, machine=machine) as engine, pytest.raises(WeightsError, match=r"^planted$"):
        list(engine.run(tasks))

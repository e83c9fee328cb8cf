"""Videos and models at the start of a run, on real decoder processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extract.decoder.messages import Message
from extract.decoder.owner import Decoder
from extract.engine import engine as engine_module
from extract.engine.engine import Engine
from extract.engine.machine import Machine
from extract.engine.models import Models, load_models
from extract.engine.task import VideoTask
from extract.errors import WeightsError
from extract.selection import ExtractConfig, Selection, select

PATIENCE_SECONDS = 60.0  # never reached unless something hangs

pytestmark = pytest.mark.usefixtures("planted_experts")


def planted(paths: list[Path]) -> tuple[Selection, list[VideoTask]]:
    options = {"scenes": {"detector": "content"}}
    selection = select(ExtractConfig(experts=("trouble",), options=options, device="cpu", dtype="float32"))
    return selection, [VideoTask(p.stem, os.fsencode(p), tuple(selection.experts)) for p in paths]


def test_decoders_work_while_the_models_load(
    small_trailers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The models are there only once a decoder has sent something."""
    heard = threading.Event()

    def load(selection: Selection, *, batch_size: int) -> Models:
        assert heard.wait(PATIENCE_SECONDS), "no decoder began"
        return load_models(selection, batch_size=batch_size)

    class Listening(Machine):
        def decoder(self, deliver: Callable[[Any, Message], None], *, stall_seconds: float) -> Decoder:
            def listen(decoder: Any, message: Message) -> None:
                heard.set()
                deliver(decoder, message)

            return Decoder(listen, stall_seconds=stall_seconds)

    monkeypatch.setattr(engine_module, "load_models", load)
    selection, tasks = planted(small_trailers)
    with Engine(selection, machine=Listening()) as engine:
        assert engine.reading().waiting == {}  # asked at any time, never waits
        assert [result.outcomes["trouble"].state for result in engine.run(tasks)] == ["ok"] * 3


def test_a_model_that_cannot_be_loaded_ends_the_run(
    small_trailers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(selection: Selection, *, batch_size: int) -> Models:
        raise WeightsError("planted")

    monkeypatch.setattr(engine_module, "load_models", load)
    selection, tasks = planted(small_trailers)
    with Engine(selection) as engine, pytest.raises(WeightsError, match=r"^planted$"):
        list(engine.run(tasks))

"""Whisper's decoder with many windows side by side: milliseconds of a token step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from whisper.tokenizer import get_tokenizer

from bench.gpu.measuring import Gauge, Measurement
from bench.gpu.shown import resources
from bench.whisper import LANGUAGES, Window, noise, side_by_side
from extract.expert import Precision
from extract.nets.whisper import load_network
from extract.nets.whisper_greedy import PROMPT_TOKENS, GreedyDecoder
from extract.ops.network.device import free_device_memory
from extract.ops.network.inference import dtype_of, inference


def speech(gauge: Gauge) -> None:
    """Windows of noise, whose texts are as long as they may be with weights drawn from a seed."""
    for precision in gauge.sizes.precisions:
        _at_precision(gauge, precision)
        free_device_memory()


def _at_precision(gauge: Gauge, precision: Precision) -> None:
    sizes = gauge.sizes
    what = {"model": sizes.whisper_model, "precision": precision, "windows": sizes.windows}
    networks: list[Any] = []
    heard: list[Window] = []

    def load() -> Measurement:
        networks.append(load_network(sizes.whisper_model, resources(gauge, precision, sizes.windows)))
        return {}

    def encode() -> Measurement:
        (network,) = networks
        mels = noise(network, sizes.windows).to(dtype_of(precision))

        def listen() -> None:
            features = network.encoder(mels)
            heard[:] = [Window(each, LANGUAGES[i % len(LANGUAGES)]) for i, each in enumerate(features)]

        seconds = gauge.seconds(listen)
        return {"windows/s": sizes.windows / seconds}

    with inference(gauge.device):
        gauge.measure({**what, "part": "loaded"}, load)
        if networks:
            gauge.measure({**what, "part": "encoder"}, encode)
        if heard:
            gauge.measure({**what, "part": "decoder"}, partial(_decoded, gauge, networks[0], heard))


def _decoded(gauge: Gauge, network: Any, heard: Sequence[Window]) -> Measurement:
    """All windows at once, so that there are as many steps as the longest text has tokens and its prompt."""
    decoder = GreedyDecoder(
        network,
        get_tokenizer(True, num_languages=network.num_languages),
        "transcribe",
        rows=len(heard),
        longest=gauge.sizes.tokens,
    )
    texts: list[list[int]] = []

    def decode() -> None:
        texts[:] = side_by_side(decoder, heard)

    seconds = gauge.seconds(decode)
    steps = PROMPT_TOKENS + max(map(len, texts))
    return {
        "windows/s": len(heard) / seconds,
        "tokens/s": sum(map(len, texts)) / seconds,
        "steps": steps,
        "ms a step": 1000 * seconds / steps,
    }

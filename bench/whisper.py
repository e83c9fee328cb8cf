"""Whisper's windows per second: one at a time by the package, and side by side, in one run.

    python -m bench.whisper [--model tiny] [--windows 32] [--tokens 32] [--rows 1 16 32] [--device cpu]

Weights are drawn from a seed, and the windows are noise, so that nearly every text has ``--tokens`` tokens:
equal work for all. Encoding is the same for all and timed by itself. Seconds of processor time stand
beside windows per second: other programs disturb them less. Precision is float32.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import whisper
from whisper.audio import N_FRAMES
from whisper.decoding import DecodingOptions
from whisper.tokenizer import get_tokenizer

from extract.expert import Resources
from extract.nets.whisper import MODEL_NAMES, load_network
from extract.nets.whisper_greedy import GreedyDecoder
from extract.nets.whisper_windows import Decoded
from extract.ops.network.inference import inference

REPEATS = 2  # the best counts: other programs only ever make it slower
LANGUAGES = ("en", "de", "es")


@dataclass(frozen=True, eq=False)
class Window:
    features: torch.Tensor
    language: str


@dataclass
class Work:
    left: list[Window]
    texts: dict[Window, list[int]] = field(default_factory=dict)

    def take(self, count: int, /) -> list[Window]:
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def done(self, window: Window, decoded: Decoded, /) -> None:
        self.texts[window] = decoded.tokens


def noise(network: Any, windows: int) -> torch.Tensor:
    """(windows, mels, frames) on the network's device, the same each time."""
    values = np.random.default_rng(0).normal(0, 0.3, (windows, network.dims.n_mels, N_FRAMES))
    return torch.from_numpy(values.astype(np.float32)).to(network.device)


def one_at_a_time(network: Any, windows: Sequence[Window], tokens: int) -> list[list[int]]:
    found = []
    for window in windows:
        options = DecodingOptions(language=window.language, sample_len=tokens, fp16=False)
        found.append(whisper.decode(network, window.features, options).tokens)
    return found


def side_by_side(decoder: GreedyDecoder, windows: Sequence[Window]) -> list[list[int]]:
    work = Work([*windows])
    decoder.run(work)
    return [work.texts[window] for window in windows]


def timed(name: str, count: int, call: Callable[[], Any]) -> Any:
    """The result of ``call``; its best times are printed for each of ``count`` windows."""
    clock, processor, result = [], [], None
    for _ in range(REPEATS):
        started = time.perf_counter(), time.process_time()
        result = call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        clock.append(time.perf_counter() - started[0])
        processor.append(time.process_time() - started[1])
    per_second, seconds = count / min(clock), min(processor) / count
    print(f"{name:34} {per_second:8.2f} windows/s {seconds:8.3f} s of a core each", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODEL_NAMES, default="tiny")
    parser.add_argument("--windows", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=32, help="of each window, at most 224")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 16, 32])
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    network: Any = load_network(options.model, Resources(device=options.device, random_seed=0))
    tokenizer = get_tokenizer(True, num_languages=network.num_languages)
    mels = noise(network, options.windows)
    print(f"{options.model}, {options.windows} windows, {torch.get_num_threads()} threads, {options.device}")
    with inference(options.device):
        heard = timed("encoder", len(mels), lambda: [network.encoder(mel[None])[0] for mel in mels])
        windows = [Window(features, LANGUAGES[i % len(LANGUAGES)]) for i, features in enumerate(heard)]
        texts = timed(
            "whisper.decode, one at a time",
            len(windows),
            lambda: one_at_a_time(network, windows, options.tokens),
        )
        for rows in options.rows:
            decoder = GreedyDecoder(network, tokenizer, "transcribe", rows=rows, longest=options.tokens)
            mine = timed(f"side by side, {rows} rows", len(windows), partial(side_by_side, decoder, windows))
            equal = sum(a == b for a, b in zip(mine, texts, strict=True))
            length = np.mean([len(text) for text in mine])
            print(f"{'':34} {equal} of {len(windows)} texts are equal, {length:.0f} tokens")


if __name__ == "__main__":
    main()

"""Windows decoded side by side against ``whisper.decode``, and what a token step asks of the device."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import whisper
from scipy.signal import lfilter
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from whisper.audio import log_mel_spectrogram, pad_or_trim
from whisper.decoding import DecodingOptions, DecodingResult
from whisper.model import TextDecoder
from whisper.tokenizer import get_tokenizer

from extract.expert import Resources
from extract.nets.whisper import load_network
from extract.nets.whisper_decoder import StaticDecoder
from extract.nets.whisper_greedy import STEPS_PER_LOOK, GreedyDecoder
from extract.nets.whisper_windows import Decoded
from extract.ops.network.inference import inference, placed

RATE = 16_000
LONGEST = 8
LAYERS = 2
WINDOWS = 40
TOKENS = get_tokenizer(True)
LANGUAGES = {  # a sentence, and the formants in Hz of the voice where no synthesiser is installed
    "en": ("This summer, number {} comes home to the sea.", (500, 1500, 2500)),
    "de": ("In diesem Sommer kehrt Nummer {} ans Meer zurück.", (350, 1700, 2600)),
    "es": ("Este verano, el número {} vuelve al mar.", (650, 1200, 2400)),
}


@dataclass(frozen=True)
class Window:
    number: int
    language: str
    features: torch.Tensor


class Work:
    def __init__(self, windows: Sequence[Window]) -> None:
        self.left = [*windows]
        self.decoded: dict[int, Decoded] = {}

    def take(self, count: int) -> list[Window]:
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def done(self, window: Window, decoded: Decoded) -> None:
        self.decoded[window.number] = decoded


@pytest.fixture(scope="module")
def network(parity: Any) -> Any:
    """The published file's network, whose encoder has no blocks, to save time: both sides are given what it
    hears. Its weights are chance: the text listens more to the sound, and ends more often, than it would.
    """
    loaded: Any = load_network(
        "tiny", Resources(weights={"model": parity.checkpoint("whisper_tiny", "tiny.pt")})
    )
    loaded.encoder.blocks = loaded.encoder.blocks[:0]
    loaded.decoder.blocks = loaded.decoder.blocks[:LAYERS]
    for block in loaded.decoder.blocks:
        block.cross_attn.query.weight *= 10
        block.cross_attn.out.weight *= 10
    loaded.decoder.token_embedding.weight[TOKENS.eot] *= 6
    return loaded


@pytest.fixture(scope="module")
def windows(network: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Window]:
    languages = [list(LANGUAGES)[i % len(LANGUAGES)] for i in range(WINDOWS)]
    folder = tmp_path_factory.mktemp("speech")
    sounds = [torch.from_numpy(_speech(language, i, folder)) for i, language in enumerate(languages)]
    with torch.inference_mode():
        heard = [network.encoder(log_mel_spectrogram(pad_or_trim(sound))[None])[0] for sound in sounds]
    return [Window(*each) for each in zip(range(WINDOWS), languages, heard, strict=True)]


def _speech(language: str, number: int, folder: Path) -> np.ndarray:
    """A sentence by espeak-ng where it is installed, else vowels and hisses through these formants."""
    sentence, formants = LANGUAGES[language]
    if shutil.which("espeak-ng"):
        path = folder / f"{number}.wav"
        subprocess.run(["espeak-ng", "-v", language, "-w", path, sentence.format(number)], check=True)
        resampler = av.AudioResampler("flt", "mono", RATE)
        with av.open(str(path)) as container:
            frames = [f for decoded in container.decode(audio=0) for f in resampler.resample(decoded)]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames])
    rng = np.random.default_rng(number)
    syllables = []
    for voiced in rng.random(12) < 0.75:
        length = rng.integers(RATE // 12, RATE // 3)
        syllable = rng.normal(0, 0.1, length)
        if voiced:
            syllable = (np.arange(length) % (RATE // rng.integers(90, 220)) == 0).astype(np.float64)
        for hertz in np.array(formants) * rng.uniform(0.6, 1.5, 3):
            syllable = lfilter([0.03], [1, -1.94 * np.cos(2 * np.pi * hertz / RATE), 0.9409], syllable)
        syllables.append(syllable / np.abs(syllable).max() * rng.uniform(0.1, 0.6) * np.hanning(length))
    return np.concatenate(syllables).astype(np.float32)


@pytest.fixture(scope="module")
def reference(network: Any, windows: list[Window]) -> dict[int, DecodingResult]:
    found: dict[int, DecodingResult] = {}
    for language in LANGUAGES:
        mine = [window for window in windows if window.language == language]
        options = DecodingOptions(language=language, sample_len=LONGEST, fp16=False)
        decoded = whisper.decode(network, torch.stack([window.features for window in mine]), options)
        found |= {window.number: result for window, result in zip(mine, decoded, strict=True)}
    return found


def test_half_precision_casts_weights_once_and_stays_close(network: Any, windows: list[Window]) -> None:
    tokens, positions = torch.full((2,), TOKENS.sot), torch.zeros(2, dtype=torch.long)
    features = torch.stack([window.features for window in windows[:2]])
    logits = {}
    half = placed(
        deepcopy(network), Resources(precision="bfloat16"), float32=(torch.nn.LayerNorm, TextDecoder)
    )
    for dtype, of in ((torch.float32, network), (torch.bfloat16, half)):
        made = StaticDecoder(of, rows=2, positions=8)
        with inference("cpu"), Dispatches() as dispatches:
            made.hear(torch.arange(2), features)
            logits[dtype] = made.logits(tokens, positions, attending=2)
        assert not dispatches.cast & {(384, 384), (1536, 384), (51_865, 384)}
    error = (logits[torch.bfloat16] - logits[torch.float32]).norm() / logits[torch.float32].norm()
    assert 0 < error < 0.1


def decode(network: Any, windows: Sequence[Window], rows: int) -> dict[int, Decoded]:
    work = Work(windows)
    with inference("cpu"):
        decoder(network, rows).run(work)
    return work.decoded


def decoder(network: Any, rows: int) -> GreedyDecoder:
    return GreedyDecoder(network, TOKENS, "transcribe", rows=rows, longest=LONGEST)


@pytest.mark.parametrize(("rows", "windows_of_all"), [(1, 4), (7, 18), (32, WINDOWS)])
def test_the_text_is_that_of_the_package(
    network: Any,
    windows: list[Window],
    reference: dict[int, DecodingResult],
    rows: int,
    windows_of_all: int,
) -> None:
    decoded = decode(network, windows[:windows_of_all], rows)
    for number, mine in decoded.items():
        assert mine.tokens == reference[number].tokens
        assert mine.avg_logprob == pytest.approx(
            reference[number].avg_logprob, abs=1e-3
        )  # the logits are large
        assert mine.no_speech_prob == pytest.approx(reference[number].no_speech_prob, abs=1e-6)
    assert len(decoded) == windows_of_all


def test_texts_of_the_reference_are_various(reference: dict[int, DecodingResult]) -> None:
    """Else equal texts would say little: texts that end, and such that go on, and many of each."""
    texts = {tuple(result.tokens) for result in reference.values()}
    lengths = Counter(len(text) for text in texts)
    assert len(texts) > WINDOWS / 2 and lengths[LONGEST] and len(lengths) > 1


def test_a_row_is_the_same_alone_in_any_place_and_twice(network: Any, windows: list[Window]) -> None:
    """To the last bit: rows that begin later take the places of those that are done."""
    made = decoder(network, 7)
    found = []
    for some in (windows[:11], windows[10::-1], windows[:11], windows[4:5]):
        work = Work(some)
        with inference("cpu"):
            made.run(work)
        found.append(work.decoded)
    assert found[0] == found[1] == found[2]
    assert found[3] == {4: found[0][4]}


class Dispatches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()
        self.cast: set[tuple[int, ...]] = set()  # shapes of what changed its type

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not function.is_view:
            self.counts[function.overloadpacket.__name__] += 1
        if function.overloadpacket is torch.ops.aten._to_copy:
            self.cast.add(tuple(args[0].shape))
        return function(*args, **(kwargs or {}))


class HostReads(TorchFunctionMode):
    """Counts what waits for the device to learn a value."""

    WAITING = ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__int__", "__float__", "__index__")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += getattr(function, "__name__", "") in self.WAITING
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("rows", [1, 7])
def test_a_token_step_is_bounded_whatever_the_rows(network: Any, windows: list[Window], rows: int) -> None:
    """The package's own step asks for more with each row; a row's rules alone read its tokens back."""
    made = decoder(network, rows)
    with inference("cpu"), Dispatches() as dispatches, HostReads() as reads:
        made._say_one()
    assert reads.count == 0
    assert dispatches.counts.total() <= 40 * LAYERS + 60, dispatches.counts
    assert not {"_local_scalar_dense", "nonzero", "masked_select"} & dispatches.counts.keys()


def test_the_host_looks_less_than_once_a_step(network: Any, windows: list[Window]) -> None:
    made, steps = decoder(network, 7), 0
    say_one = made._step

    def counted() -> None:
        nonlocal steps
        steps += 1
        say_one()

    made._step = counted
    work = Work(windows[:9])
    with inference("cpu"), HostReads() as reads:
        made.run(work)
    assert len(work.decoded) == 9
    assert 0 < reads.count <= 2 * steps / STEPS_PER_LOOK

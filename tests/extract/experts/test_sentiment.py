"""Sentiment against transformers' own class and tokenizer, on a synthetic file of the published layout."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from extract.errors import UsageError
from extract.expert import Item, Resources
from extract.experts.sentiment import CLASSES, Sentiment, SentimentOptions
from extract.ops.text.language import WRITTEN_LANGUAGES
from extract.ops.text.rewriting import FLORES, Rewriter
from extract.registry import make_expert

LAYERS = 2  # of the published 12 equal ones
WORDS = 600
TEXT = "one man. stands alone. a crown"
MERGES = ("o n", "Ġ a", "on e", "m a", "ma n", "a l", "al one")
OCR = [
    {"start_seconds": float(t), "end_seconds": t + 0.5, "scene": t, "text": text, "corrected": text}
    for t, text in ((1, "ONE"), (1, "MAN"), (2, "Stands alone"), (4, "ONE MAN"), (5, ""), (6, "A crown"))
]
SPEECH = [
    {"start_seconds": s, "end_seconds": s + 1, "text": text, "language": "en", "hallucination": made_up}
    for s, text, made_up in (
        (0.0, " It was dark.", False),
        (2.0, " Thanks for watching", True),
        (3.0, " Run!", False),
    )
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Their classifier with random weights, the files that it and its tokenizer are published as."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaConfig, RobertaForSequenceClassification, RobertaTokenizer

    folder = tmp_path_factory.mktemp("hub") / "twitter-roberta-base-sentiment-latest"
    folder.mkdir()
    pieces = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        *sorted(ByteLevel.alphabet()),
        *(m.replace(" ", "") for m in MERGES),
    ]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=WORDS, num_hidden_layers=LAYERS, max_position_embeddings=514, type_vocab_size=1,
        layer_norm_eps=1e-5, num_labels=3,
    )  # fmt: skip
    model: Any = RobertaForSequenceClassification(config).eval()
    extras = {"roberta.embeddings.position_ids": torch.arange(514)[None]}
    extras |= {
        "roberta.pooler.dense.weight": torch.zeros(768, 768),
        "roberta.pooler.dense.bias": torch.zeros(768),
    }
    torch.save({**model.state_dict(), **extras}, folder / "pytorch_model.bin")
    tokenizer: Any = RobertaTokenizer(vocab=vocabulary, merges=[tuple(m.split()) for m in MERGES])
    return SimpleNamespace(folder=folder, model=model, tokenizer=tokenizer)


@pytest.fixture
def model(published: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("extract.nets.roberta.LAYERS", LAYERS)
    monkeypatch.setattr("extract.nets.roberta.WORDS", WORDS)
    files = Sentiment().weights()
    return Sentiment().load(
        Resources(weights={file.role: published.folder.parent / file.name for file in files})
    )


@pytest.mark.parametrize("text", [TEXT, "A crown — ¿quién?", "alone " * 700])
def test_vectors_and_probabilities_are_those_of_transformers(text: str, published: Any, model: Any) -> None:
    inputs = published.tokenizer(text, return_tensors="pt", truncation=True, max_length=512)
    with torch.inference_mode():
        outputs = published.model(**inputs, output_hidden_states=True)
    ((row,),) = model([Item(0, 1, {"texts": np.array([text])}, table="asr_sentiment")])
    np.testing.assert_allclose(row["embedding"], outputs.hidden_states[-1][0, 0], atol=2e-5)
    shares = outputs.logits[0].softmax(-1).numpy()
    np.testing.assert_allclose([row[name] for name in CLASSES], shares, atol=1e-5)
    assert row["text"] == text


def test_one_item_of_each_table(model: Any) -> None:
    tables = {"ocr": pa.Table.from_pylist(OCR), "whisper": pa.Table.from_pylist(SPEECH)}
    written, spoken = Sentiment().read_tables(tables)
    assert (written.table, written.start_seconds, written.end_seconds) == ("ocr_sentiment", 1.0, 6.5)
    assert (spoken.table, spoken.start_seconds, spoken.end_seconds) == ("asr_sentiment", 0.0, 4.0)
    texts = [row["text"] for (row,) in model([written, spoken])]
    assert texts == [TEXT, "It was dark. Run!"]  # a frame's text again counts once
    everything = Sentiment(SentimentOptions(skip_hallucinations=False))
    (whole,) = everything.read_tables({"whisper": tables["whisper"]})
    assert "Thanks" in str(whole.arrays["texts"])
    assert list(Sentiment().read_tables({"ocr": pa.Table.from_pylist(OCR[4:5])})) == []


def seq2seq(kind: Any, config: Any, words: list[str], folder: Path) -> Any:
    """A tiny random network of transformers and its tokenizer of whole words, as a folder."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    torch.manual_seed(5)
    network = kind(config).eval()
    network.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return network


WORDS_OF_TEXTS = [
    "<pad>",
    "</s>",
    "<unk>",
    "deu_Latn",
    "eng_Latn",
    "grammar",
    ":",
    "in",
    "theaters",
    "bald",
    "now",
]


@pytest.fixture
def rewriters(tmp_path: Path) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Speller, translator and detector of languages, tiny and random, and the folders that they are in."""
    import transformers as hub

    words, folders = (
        WORDS_OF_TEXTS,
        {part: tmp_path / part for part in ("speller", "translator", "languages")},
    )
    sizes = {"vocab_size": len(words), "d_model": 16, "pad_token_id": 0, "eos_token_id": 1}
    t5 = hub.T5Config(**sizes, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0)
    halves = ("encoder", "decoder")
    layers = {f"{half}_{name}": n for half in halves for name, n in (("layers", 1), ("attention_heads", 2))}
    wide = {f"{half}_ffn_dim": 16 for half in halves}
    nllb = hub.M2M100Config(**sizes, **layers, **wide, decoder_start_token_id=1)
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    names = {0: "de", 1: "en"}
    xlmr = hub.XLMRobertaConfig(vocab_size=len(words), id2label=names, pad_token_id=0, **tiny)
    speller = seq2seq(hub.T5ForConditionalGeneration, t5, words, folders["speller"])
    translator = seq2seq(hub.M2M100ForConditionalGeneration, nllb, words, folders["translator"])
    detector = seq2seq(hub.XLMRobertaForSequenceClassification, xlmr, words, folders["languages"])
    return speller, translator, detector, folders


def test_foreign_texts_are_translated_and_the_others_respelt(
    rewriters: tuple[Any, Any, Any, dict[str, Any]],
) -> None:
    speller, translator, detector, folders = rewriters
    words = WORDS_OF_TEXTS
    answers = {}
    for sure_of_german in (True, False):
        with torch.no_grad():
            detector.classifier.out_proj.weight.zero_()
            detector.classifier.out_proj.bias.copy_(torch.tensor([9.0 if sure_of_german else 1.0, 0.0]))
        detector.save_pretrained(folders["languages"])
        answers[sure_of_german] = Rewriter(**folders)(["bald now", "bald now"])

    def generated(network: Any, ids: list[int], **more: Any) -> list[str]:
        tokens = network.generate(torch.tensor([ids]), num_beams=1, do_sample=False, **more)[0].tolist()
        return [" ".join(words[token] for token in tokens if token > 2)]

    place = {word: i for i, word in enumerate(words)}
    german = [place[word] for word in ("deu_Latn", "bald", "now", "</s>")]
    assert answers[True] == generated(translator, german, forced_bos_token_id=4, max_length=200)
    english = [place[word] for word in ("grammar", ":", "bald", "now", "</s>")]
    assert answers[False] == generated(speller, english, max_length=512)
    assert answers[True] != answers[False]
    assert Rewriter(speller=None, languages=None, translator=None)(["A", "B", "A"]) == ["A", "B"]


def test_every_language_that_is_told_apart_can_be_translated() -> None:
    assert {*FLORES, "en"} == set(WRITTEN_LANGUAGES)


def test_what_the_steps_need_is_asked_for() -> None:
    plain, full = Sentiment(), make_expert("sentiment", {"translate": True, "respell": "true"})
    assert [file.role for file in plain.weights()] == ["model", "vocab", "merges"]
    parts = {file.role.partition("/")[0] for file in full.weights()}
    assert parts == {"model", "vocab", "merges", "speller", "languages", "translator"}
    with pytest.raises(UsageError, match="published files"):
        full.load(Resources(random_seed=0))
    with pytest.raises(UsageError, match="corrected, raw"):
        make_expert("sentiment", {"ocr_text": "lower"})

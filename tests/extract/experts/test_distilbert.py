"""DistilBERT: published numbers, and which text becomes which rows."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from extract.errors import MissingDependency, WeightsError
from extract.expert import Resources
from extract.experts.distilbert import (
    MAX_LENGTH,
    Distilbert,
    DistilbertOptions,
    TokenVectors,
    load_network,
)
from extract.ops.network.sequences import SHORTEST
from extract.types import Item

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "last",
    "orchard",
    "or",
    "##chard",
    "spring",
    "!",
]
EYE = np.eye(768, dtype=np.float32)


@pytest.fixture(scope="module")
def published(parity: Any, tmp_path_factory: pytest.TempPathFactory) -> TokenVectors:
    """The expert's model on synthetic files in the published format."""
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    folder = parity.checkpoint("distilbert", "distilbert-base-uncased")
    weights = {"model": folder / "model.safetensors", "vocabulary": vocabulary}
    model = Distilbert().load(Resources(weights=weights))
    assert isinstance(model, TokenVectors)
    return model


@pytest.fixture(scope="module")
def drawn() -> TokenVectors:
    model = Distilbert().load(Resources(random_seed=1))
    assert isinstance(model, TokenVectors)
    return model


@pytest.fixture
def blind(drawn: TokenVectors, monkeypatch: pytest.MonkeyPatch) -> TokenVectors:
    """Without the network: the vector of a token tells its place in its sequence."""
    monkeypatch.setattr(drawn, "encode", lambda sequences: [EYE[: len(ids)] for ids in sequences])
    return drawn


def ocr(*rows: tuple[int, str, str | None]) -> pa.Table:
    times = [{"start_seconds": 2.0 * scene, "end_seconds": 2.0 * scene + 0.04} for scene, _, _ in rows]
    return pa.Table.from_pylist(
        [
            {**t} | {"scene": s, "text": raw, "corrected": c}
            for t, (s, raw, c) in zip(times, rows, strict=True)
        ]
    )


def asr(*rows: tuple[str, str, bool]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "start_seconds": float(i),
                "end_seconds": i + 1.0,
                "text": t,
                "language": code,
                "hallucination": made_up,
            }
            for i, (t, code, made_up) in enumerate(rows)
        ]
    )


def texts(tables: dict[str, pa.Table], **options: Any) -> list[tuple[str | None, int, str]]:
    items = Distilbert(DistilbertOptions(**options)).read_tables(tables)
    return [(item.table, item.columns["segment"], str(item.arrays["text"])) for item in items]


def text_item(text: str) -> Item:
    return Item(1.0, 2.0, {"text": np.array(text)}, {"segment": 4}, "ocr_distilbert")


def test_a_published_file_gives_the_reference_vectors(published: TokenVectors, parity: Any) -> None:
    reference = parity.reference("distilbert")
    for length, seed in reference["lengths"].tolist():
        [mine] = published.encode([parity.inputs.tokens(length, 30522, seed)])
        stored = reference[f"len{length}"]
        parity.assert_close("distilbert", f"len{length}", mine[:: 1 if length == 7 else 8], stored)
    long, short, seed = reference["padded"].tolist()
    pair = [parity.inputs.tokens(long, 30522, seed), parity.inputs.tokens(short, 30522, seed + 1000)]
    mine = published.encode(pair)[1]
    parity.assert_close("distilbert", "padded_row1", mine[::3], reference["padded_row1"])


def test_the_names_are_the_published_ones(published: TokenVectors, parity: Any) -> None:
    from safetensors import safe_open

    folder = parity.checkpoint("distilbert", "distilbert-base-uncased")
    with safe_open(folder / "model.safetensors", "pt") as file:
        encoder = {key for key in file.keys() if key.startswith("distilbert.")}  # noqa: SIM118
    assert {f"distilbert.{key}" for key in published._network.state_dict()} == encoder


def test_a_file_of_another_network_is_refused(parity: Any) -> None:
    path = parity.checkpoint("whisper_tiny", "tiny.pt")
    with pytest.raises(WeightsError, match="DistilBERT base uncased"):
        load_network(Resources(weights={"model": path}))


def test_tokens_are_those_of_transformers(published: TokenVectors, tmp_path: Path) -> None:
    from transformers import BertTokenizerLegacy  # written in Python, ours in Rust

    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    theirs = BertTokenizerLegacy(str(vocabulary), do_lower_case=True)  # type: ignore[no-untyped-call]
    for text in ("THE LAST ORCHARD", "Thé  last\tor-chard!", "springs 春", "orchard!!", "é"):
        [mine] = published.tokenize(text)
        assert mine.ids == theirs(text)["input_ids"], text


def test_boxes_of_a_frame_are_one_text_and_frames_are_not_joined() -> None:
    table = ocr((3, "THE LSAT", "THE LAST"), (3, "ORCHARD", "ORCHARD"), (5, "SPRING", None), (6, "", ""))
    assert texts({"ocr": table}) == [("ocr_distilbert", 3, "THE LAST ORCHARD")]
    assert texts({"ocr": table}, ocr_text="raw") == [
        ("ocr_distilbert", 3, "THE LSAT ORCHARD"),
        ("ocr_distilbert", 5, "SPRING"),
    ]


def test_speech_is_one_text_per_segment_without_what_was_made_up() -> None:
    table = asr(
        ("Hello.", "en", False),
        ("Thanks for watching!", "en", True),
        (" ", "en", False),
        ("Ja.", "de", False),
    )
    said = [("asr_distilbert", 0, "Hello."), ("asr_distilbert", 3, "Ja.")]
    assert texts({"whisper": table}) == said
    made_up = ("asr_distilbert", 1, "Thanks for watching!")
    assert texts({"whisper": table}, skip_hallucinations=False) == [said[0], made_up, said[1]]


def test_foreign_text_is_replaced_on_request() -> None:
    tables = {
        "ocr": ocr((0, "DIE LETZTE NACHT IM ALTEN", None), (0, "HAUS AM SEE", None), (1, "BALD", None)),
        "whisper": asr(("Guten Tag.", "de", False), ("Good day.", "en", False)),
    }
    assert [text for *_, text in texts(tables, ocr_text="raw", replace_foreign=True)] == [
        "German language",
        "BALD",
        "German language",
        "Good day.",
    ]


def test_tables_that_are_missing_or_empty_give_nothing() -> None:
    assert texts({}) == []
    assert texts({"ocr": ocr(), "whisper": asr()}) == []
    assert texts({"ocr": None, "whisper": asr(("Hi", "en", False))}) == [("asr_distilbert", 0, "Hi")]  # type: ignore[dict-item]


def test_a_row_is_a_token_on_the_interval_of_its_text(blind: TokenVectors) -> None:
    [rows] = blind([text_item("Hi!")])
    assert [(r["token"], r["token_id"]) for r in rows] == [("h", 1034), ("##i", 1037), ("!", 1072)]
    assert {(r["start_seconds"], r["end_seconds"], r["segment"]) for r in rows} == {(1.0, 2.0, 4)}
    assert [int(r["embedding"].argmax()) for r in rows] == [1, 2, 3]


def test_special_tokens_are_rows_on_request_and_text_that_looks_like_them_is_text(
    blind: TokenVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = text_item("a [SEP] b")
    assert [row["token"] for row in blind([item])[0]] == ["a", "[SEP]", "b"]
    monkeypatch.setattr(blind, "_special_tokens", True)
    assert [row["token"] for row in blind([item])[0]] == ["[CLS]", "a", "[SEP]", "b", "[SEP]"]


def test_long_text_is_cut_into_sequences_and_nothing_is_lost(blind: TokenVectors) -> None:
    [rows] = blind([text_item("a b " * 600)])
    assert [row["token"] for row in rows] == ["a", "b"] * 600
    assert max(len(window.ids) for window in blind.tokenize("a b " * 600)) == MAX_LENGTH


def test_rows_do_not_depend_on_the_batch(drawn: TokenVectors) -> None:
    items = [
        text_item(text)
        for text in ("one", "a longer line of text, for another length", "two!", "x", "y", "z")
    ]
    together, alone = drawn(items), [drawn([item])[0] for item in items]
    assert [len(rows) for rows in together] == [len(rows) for rows in alone]
    for mine, other in zip(chain(*together), chain(*alone), strict=True):
        np.testing.assert_array_equal(mine["embedding"], other["embedding"])
    assert drawn([]) == []


def test_padding_moves_a_vector_by_rounding_alone(drawn: TokenVectors) -> None:
    ids = drawn.tokenize("five!")[0].ids
    [padded] = drawn.encode([ids])
    with torch.inference_mode():
        bare = drawn._network(torch.tensor([ids]), torch.ones(1, len(ids)))[0].numpy()
    assert len(ids) < SHORTEST
    np.testing.assert_allclose(padded, bare, atol=1e-5)


def test_the_detector_of_languages_is_asked_for_only_where_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find(name: str) -> Any:
        return None if name == "lingua" else object()

    monkeypatch.setattr("importlib.util.find_spec", find)
    Distilbert().check_installed()
    replacing = Distilbert(DistilbertOptions(replace_foreign=True))
    monkeypatch.setattr("extract.experts.distilbert.version", lambda name: f"{name} 2.1")
    assert replacing.settings()["lingua"] == "lingua-language-detector 2.1"
    assert "lingua" not in Distilbert().settings()
    with pytest.raises(MissingDependency, match="lingua"):
        replacing.check_installed()

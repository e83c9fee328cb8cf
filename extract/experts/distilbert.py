"""Token vectors of what is read (OCR) and said (ASR): DistilBERT base uncased (arXiv 1910.01108)."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from extract.errors import MissingDependency, to_install
from extract.expert import Column, Embedding, Expert, Model, Package, Resources, TableSpec, Tolerance
from extract.ops.network.batching import fixed_batches, network_batch
from extract.ops.network.device import to_device
from extract.ops.network.inference import inference, placed
from extract.ops.network.sequences import buckets
from extract.ops.network.staged import to_host
from extract.ops.text.language import replace_foreign, written_language
from extract.types import Item, Row
from extract.weights.checkpoints import fill, load_state_dict, to_be_filled
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from tokenizers import BertWordPieceTokenizer, Encoding

    from extract.nets.distilbert import DistilBert

DIMENSION = 768
MAX_LENGTH = 512  # tokens that the network takes, [CLS] and [SEP] among them

FOLDER = "distilbert-base-uncased"
REVISION = "12040accade4e8a0f71eabdb258fecc2e7e948be"
URL = f"https://huggingface.co/distilbert/distilbert-base-uncased/resolve/{REVISION}"
MODEL_SHA256 = "5e3f1108e3cb34ee048634875d8482665b65ac713291a7e32396fb18f6ff0063"
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"


@dataclass(frozen=True)
class DistilbertOptions:
    """Which text is read, and what of it becomes rows.

    ``ocr_text``: after correction or as it was read. ``replace_foreign``: text in another language
    than English becomes "German language" and the like (Sulun et al. 2024); for speech Whisper's
    language counts, for writing lingua's, where the text is long and clear enough. Leave it off
    where Whisper translates: its text is English then, whatever language was spoken.
    ``skip_hallucinations``: leave out speech that Whisper probably made up. ``special_tokens``:
    rows for [CLS] and [SEP] too, which stand for no text of their own.
    """

    ocr_text: Literal["corrected", "raw"] = "corrected"
    replace_foreign: bool = False
    skip_hallucinations: bool = True
    special_tokens: bool = False


class Distilbert(Expert):
    """The last hidden state of each token, on the interval of the text that the token is in.

    DistilBERT base uncased (Sanh et al. 2019); ``embedding`` (768,), a row for each WordPiece. One sequence
    is the text of one frame, its boxes in the order of the OCR table joined by spaces, or one segment of
    speech; Sulun et al. 2024 leave that open. A card that stays on screen for several scenes is read in each,
    and stays so: its times differ. Sequences of more than 512 tokens are cut into several, each with its own
    [CLS] and [SEP]; nothing is dropped.
    """

    summary = "token vectors of OCR and speech text (DistilBERT base uncased)"
    cites = ("sanh2019distilbert",)
    tolerance = Tolerance(bfloat16=0.02, float16=0.003)
    Options = DistilbertOptions
    lane = "device"
    upstream = ("ocr", "whisper")
    packages = (Package("tokenizers", "distilbert"),)
    empty_reason = "no text"

    def tables(self) -> Mapping[str, TableSpec]:
        def spec(segment: str) -> TableSpec:
            columns = (
                Column("segment", "int32", segment),
                Column("token", "string", "the WordPiece; ## continues a word"),
                Column("token_id", "int32", "its number in vocab.txt"),
            )
            return TableSpec(columns, Embedding((DIMENSION,)))

        return {
            "ocr_distilbert": spec("scene whose frame the text was read in"),
            "asr_distilbert": spec("row of the whisper table"),
        }

    def weights(self) -> tuple[WeightFile, ...]:
        model, vocabulary = f"{FOLDER}/model.safetensors", f"{FOLDER}/vocab.txt"
        return (
            WeightFile("model", model, MODEL_SHA256, f"{URL}/model.safetensors", 267_954_768, "Apache-2.0"),
            WeightFile(
                "vocabulary", vocabulary, VOCABULARY_SHA256, f"{URL}/vocab.txt", 231_508, "Apache-2.0"
            ),
        )

    def settings(self) -> dict[str, Any]:
        """The options, and the version of what tells languages apart where they ask for that."""
        telling = {"lingua": version("lingua-language-detector")} if self.options.replace_foreign else {}
        return {**super().settings(), **telling}

    def check_installed(self) -> None:
        super().check_installed()
        if self.options.replace_foreign:
            from importlib.util import find_spec

            if find_spec("lingua") is None:
                raise MissingDependency(
                    "replace_foreign of expert 'distilbert' needs lingua, not installed here: "
                    + to_install("distilbert")
                )

    def read_tables(self, tables: Mapping[str, pa.Table]) -> Iterator[Item]:
        """A sequence per frame with text and per segment of speech, in the order of the tables."""
        for name, read in (("ocr", self._written), ("whisper", self._spoken)):
            table = tables.get(name)
            if table is not None:
                yield from read(table.to_pylist())

    def load(self, resources: Resources) -> Model:
        network = load_network(resources)
        tokenizer = random_tokenizer() if resources.random_seed is not None else load_tokenizer(resources)
        return TokenVectors(network, tokenizer, resources, special_tokens=self.options.special_tokens)

    def _written(self, rows: Sequence[Row]) -> Iterator[Item]:
        column = "corrected" if self.options.ocr_text == "corrected" else "text"
        rows = [row for row in rows if row[column]]  # without the lines of scripts that ocr cannot read
        for (scene, _), boxes in groupby(rows, key=lambda row: (int(row["scene"]), row["start_seconds"])):
            frame = list(boxes)
            text = " ".join(row[column] for row in frame)
            if self.options.replace_foreign:
                text = replace_foreign(text, written_language(text))
            yield from _sequence(text, frame[0], segment=scene, table="ocr_distilbert")

    def _spoken(self, rows: Sequence[Row]) -> Iterator[Item]:
        for number, row in enumerate(rows):
            if row["hallucination"] and self.options.skip_hallucinations:
                continue
            text = row["text"] or ""
            if self.options.replace_foreign:
                text = replace_foreign(text, row["language"])
            yield from _sequence(text, row, segment=number, table="asr_distilbert")


def _sequence(text: str, row: Row, *, segment: int, table: str) -> Iterator[Item]:
    """The item of a text on a row's interval; none for a text without a character to read."""
    if text.strip():
        yield Item(
            row["start_seconds"], row["end_seconds"], {"text": np.array(text)}, {"segment": segment}, table
        )


class TokenVectors:
    """Items with a ``text`` to rows of tokens.

    Sequences are padded and masked; on a CPU to a length that depends on each alone, so that the network sees
    the same shapes, and gives the same bits, whatever texts share the batch.
    """

    def __init__(
        self,
        network: DistilBert,
        tokenizer: BertWordPieceTokenizer,
        resources: Resources,
        *,
        special_tokens: bool,
    ) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._resources = resources
        self._special_tokens = special_tokens

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        windows = [
            (i, window) for i, item in enumerate(items) for window in self.tokenize(str(item.arrays["text"]))
        ]
        vectors = self.encode([window.ids for _, window in windows])
        rows: list[list[Row]] = [[] for _ in items]
        for (i, window), hidden in zip(windows, vectors, strict=True):
            tokens = zip(window.tokens, window.ids, window.special_tokens_mask, hidden, strict=True)
            rows[i] += [
                items[i].row(token=token, token_id=number, embedding=vector)
                for token, number, special, vector in tokens
                if self._special_tokens or not special
            ]
        return rows

    def tokenize(self, text: str) -> list[Encoding]:
        """[CLS] ... [SEP], as many times as the text needs."""
        whole = self._tokenizer.encode(text)
        return [whole, *whole.overflowing]

    def encode(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.floating]]:
        """Last hidden states (tokens, 768) of each sequence of token numbers; waits once."""
        import torch

        if not sequences:
            return []
        device = self._resources.device
        size = network_batch(device, self._resources.batch_size)
        padded = buckets([len(ids) for ids in sequences], device=device)
        computed = []
        with inference(device):
            for length, places in padded:
                inputs = np.zeros((len(places), 2, length), np.int64)  # numbers and attention mask
                for row, place in zip(inputs, places, strict=True):
                    row[:, : len(sequences[place])] = [sequences[place], [1] * len(sequences[place])]
                states = fixed_batches(self._hidden, to_device(inputs, device), size, device=device)
                computed.append(states.flatten(0, 1))
            values = to_host(torch.cat(computed))
        states_of: dict[int, NDArray[np.floating]] = {}
        start = 0
        for length, places in padded:
            for place in places:
                states_of[place] = values[start : start + len(sequences[place])]
                start += length
        return [states_of[place] for place in range(len(sequences))]

    def _hidden(self, inputs: torch.Tensor) -> torch.Tensor:
        ids, mask = inputs.unbind(1)
        states: torch.Tensor = self._network(ids, mask)
        return states


def load_network(resources: Resources) -> DistilBert:
    """DistilBERT without its masked-word head, with published or seeded weights.

    Raises WeightsError if the file does not hold it.
    """
    from extract.nets.distilbert import DistilBert

    with to_be_filled():
        network = DistilBert()

    def read(path: Path) -> dict[str, torch.Tensor]:
        return {name.removeprefix("distilbert."): tensor for name, tensor in load_state_dict(path).items()}

    fill(network, resources, "model", read, what="DistilBERT base uncased", ignore_prefixes=("vocab_",))
    return placed(network, resources)


def load_tokenizer(resources: Resources) -> BertWordPieceTokenizer:
    """The uncased WordPiece tokenizer of a published ``vocab.txt``: one token in each line."""
    from tokenizers.models import WordPiece

    return _tokenizer(WordPiece.read_file(str(resources.weights["vocabulary"])))


def random_tokenizer() -> BertWordPieceTokenizer:
    """For dry runs without ``vocab.txt``: every character is a token, numbers are arbitrary."""
    vocabulary = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    for i, character in enumerate(string.digits + string.ascii_lowercase + string.punctuation):
        vocabulary |= {character: 1000 + 2 * i, f"##{character}": 1001 + 2 * i}
    return _tokenizer(vocabulary)


def _tokenizer(vocabulary: dict[str, int]) -> BertWordPieceTokenizer:
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(vocabulary, lowercase=True)
    tokenizer.enable_truncation(MAX_LENGTH)  # the rest is in Encoding.overflowing
    return tokenizer

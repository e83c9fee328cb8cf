"""How what is read (OCR) and said (ASR) feels: one vector and three probabilities for a video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from extract.errors import MissingDependency, UsageError, to_install
from extract.expert import Column, Embedding, Expert, Model, Package, Resources, TableSpec, Tolerance
from extract.experts._folders import folder_files, folder_of
from extract.ops.network.device import to_device
from extract.ops.network.inference import inference, placed
from extract.ops.text.rewriting import Rewriter
from extract.types import Item, Row
from extract.weights.checkpoints import fill, load_state_dict, to_be_filled
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from tokenizers import Tokenizer

DIMENSION = 768
MAX_LENGTH = 512  # tokens of a text, <s> and </s> among them; the rest is cut off
CLASSES = ("negative", "neutral", "positive")
BEGIN, PADDING, END, UNKNOWN = 0, 1, 2, 3  # numbers of <s>, <pad>, </s>, <unk>
REPOSITORY = "cardiffnlp/twitter-roberta-base-sentiment-latest"
UNUSED = ("roberta.pooler.", "roberta.embeddings.position_ids")  # in the file, and read by nothing
SPELLER = "ai-forever/T5-large-spell"
TRANSLATOR = "facebook/nllb-200-distilled-600M"
LANGUAGES = "papluca/xlm-roberta-base-language-detection"


@dataclass(frozen=True)
class SentimentOptions:
    """Which text is read, and what is done to writing before.

    ``ocr_text``: after correction or as it was read. ``skip_hallucinations``: leave out speech that Whisper
    probably made up. The last two are steps of the public code of Sulun et al. 2024, for the texts of frames.
    ``translate``: those that papluca's detector is sure (0.9) are not English, by NLLB-200. ``respell``: the
    others, cut into words by SymSpell, by ai-forever's T5.
    """

    ocr_text: Literal["corrected", "raw"] = "corrected"
    skip_hallucinations: bool = True
    translate: bool = False
    respell: bool = False


class Sentiment(Expert):
    """RoBERTa base (Liu et al. 2019) trained on tweets and their sentiment (Loureiro et al. 2022).

    ``embedding`` (768,): the last hidden state of the first token, <s>; a row for each video and table, from
    the beginning of the first text in seconds to the end of the last. Writing is the texts of frames, lower
    case, each once, joined by ". "; speech is the transcript. So does the public code of Sulun et al. 2024.
    """

    summary = "sentiment of a video's OCR and of its speech (RoBERTa trained on tweets)"
    cites = ("liu2019roberta", "loureiro2022timelms")
    tolerance = Tolerance(bfloat16=0.03, float16=0.004)
    Options = SentimentOptions
    upstream = ("ocr", "whisper")
    packages = (Package("tokenizers", "sentiment"),)
    empty_reason = "no text"

    options: SentimentOptions

    def tables(self) -> Mapping[str, TableSpec]:
        columns = (
            Column("text", "string", "what the network read"),
            *(Column(name, "float32", f"probability that it is {name}") for name in CLASSES),
        )
        spec = TableSpec(columns, Embedding((DIMENSION,)))
        return {"ocr_sentiment": spec, "asr_sentiment": spec}

    def weights(self) -> tuple[WeightFile, ...]:
        files = folder_files(
            "", REPOSITORY, "CC-BY-4.0", model="pytorch_model.bin", others=("vocab.json", "merges.txt")
        )
        if self.options.respell:
            files += folder_files("speller", SPELLER, "MIT")
        if self.options.translate:
            files += folder_files("languages", LANGUAGES, "MIT")
            files += folder_files("translator", TRANSLATOR, "CC-BY-NC-4.0", model="pytorch_model.bin")
        return files

    def check_installed(self) -> None:
        super().check_installed()
        from importlib.util import find_spec

        if (self.options.translate or self.options.respell) and find_spec("transformers") is None:
            raise MissingDependency(
                "translate and respell of expert 'sentiment' need transformers, not installed here: "
                + to_install("bart")
            )

    def read_tables(self, tables: Mapping[str, pa.Table]) -> Iterator[Item]:
        """At most an item for each table: the texts of frames, or the transcript."""
        for name, read in (("ocr", self._written), ("whisper", self._spoken)):
            table = tables.get(name)
            if table is not None:
                yield from read(table.to_pylist())

    def _written(self, rows: Sequence[Row]) -> Iterator[Item]:
        column = "corrected" if self.options.ocr_text == "corrected" else "text"
        rows = [row for row in rows if row[column]]
        frames = groupby(rows, key=lambda row: (int(row["scene"]), row["start_seconds"]))
        texts = [" ".join(row[column] for row in lines).lower().strip() for _, lines in frames]
        yield from _item(rows, [text for text in dict.fromkeys(texts) if text], "ocr_sentiment")

    def _spoken(self, rows: Sequence[Row]) -> Iterator[Item]:
        skip = self.options.skip_hallucinations
        rows = [row for row in rows if row["text"] and not (skip and row["hallucination"])]
        text = " ".join(row["text"].strip() for row in rows).strip()
        yield from _item(rows, [text] if text else [], "asr_sentiment")

    def load(self, resources: Resources) -> Model:
        """Raises UsageError for random weights of the networks that rewrite: those need their files."""
        from extract.nets.roberta import RobertaClassifier

        if resources.random_seed is not None and (self.options.translate or self.options.respell):
            raise UsageError("sentiment.translate and sentiment.respell need published files: leave them out")
        with to_be_filled():
            network = RobertaClassifier(len(CLASSES))
        fill(network, resources, "model", load_state_dict, what="RoBERTa base", ignore_prefixes=UNUSED)
        tokenizer = random_tokenizer() if resources.random_seed is not None else load_tokenizer(resources)
        rewriter = Rewriter(
            speller=folder_of(resources, "speller") if self.options.respell else None,
            languages=folder_of(resources, "languages") if self.options.translate else None,
            translator=folder_of(resources, "translator") if self.options.translate else None,
            device=resources.device,
        )
        return SentimentModel(network, tokenizer, rewriter, resources)


def _item(rows: Sequence[Row], texts: Sequence[str], table: str) -> Iterator[Item]:
    if texts:
        start, end = min(row["start_seconds"] for row in rows), max(row["end_seconds"] for row in rows)
        yield Item(start, end, {"texts": np.array(texts)}, table=table)


class SentimentModel:
    """Items with ``texts`` to a row each; every text alone, so no row depends on another."""

    def __init__(
        self, network: torch.nn.Module, tokenizer: Tokenizer, rewriter: Rewriter, resources: Resources
    ) -> None:
        self.network = placed(network, resources)
        self.resources = resources
        self._tokenizer = tokenizer
        self._rewriter = rewriter

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        return [[self._row(item)] for item in items]

    def _row(self, item: Item) -> Row:
        texts = [str(text) for text in item.arrays["texts"]]
        if item.table == "ocr_sentiment":
            texts = self._rewriter(texts)
        text = ". ".join(texts)
        tokens = np.array([self._tokenizer.encode(text).ids], np.int64)
        with inference(self.resources.device):
            values = self.network(to_device(tokens, self.resources.device))[0].float().cpu().numpy()
        logits = values[DIMENSION:] - values[DIMENSION:].max()
        shares = np.exp(logits) / np.exp(logits).sum()
        said = dict(zip(CLASSES, map(float, shares), strict=True))
        return item.row(text=text, embedding=values[:DIMENSION], **said)


def load_tokenizer(resources: Resources) -> Tokenizer:
    """RoBERTa's byte-level pieces of the published ``vocab.json`` and ``merges.txt``."""
    from tokenizers.models import BPE

    vocabulary, merges = (str(resources.weights[role]) for role in ("vocab", "merges"))
    return _tokenizer(*BPE.read_file(vocabulary, merges))


def random_tokenizer() -> Tokenizer:
    """For dry runs without files: every byte is a token, numbers are arbitrary."""
    from tokenizers.pre_tokenizers import ByteLevel

    special = {"<s>": BEGIN, "<pad>": PADDING, "</s>": END, "<unk>": UNKNOWN}
    return _tokenizer(special | {letter: 4 + i for i, letter in enumerate(sorted(ByteLevel.alphabet()))}, [])


def _tokenizer(vocabulary: dict[str, int], merges: Any) -> Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.processors import RobertaProcessing

    tokenizer = Tokenizer(BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = RobertaProcessing(("</s>", END), ("<s>", BEGIN), add_prefix_space=False)
    tokenizer.enable_truncation(MAX_LENGTH)
    return tokenizer

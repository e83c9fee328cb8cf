"""The published BART speller, greedily: what Sulun et al. 2024 correct text on screen with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from extract.declarations import Resources
from extract.errors import MissingDependency, to_install
from extract.ops.network.device import to_device
from extract.ops.network.inference import inference, placed
from extract.ops.network.sequences import buckets

MAX_LENGTH = 256  # tokens, of a line and of what becomes of it


class BartSpeller:
    """BART-base by Oliver Guhr: lines to corrected lines.

    It was trained on English sentences (https://github.com/oliverguhr/spelling) and rewrites what
    does not look like one, other languages included. On a CPU each line is computed alone, so that none
    depends on others; on an accelerator lines share batches, padded and masked.

    ``folder``: a Hugging Face model folder (config.json, tokenizer.json, model.safetensors).
    """

    def __init__(self, folder: Path, resources: Resources) -> None:
        try:
            from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
        except ImportError as error:
            raise MissingDependency(f"spelling 'bart' needs transformers: {to_install('bart')}") from error
        self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        network: Any = AutoModelForSeq2SeqLM.from_pretrained(str(folder), local_files_only=True)
        self._network: Any = placed(network, resources)
        self._resources = resources

    def __call__(self, lines: Sequence[str]) -> list[str]:
        if self._resources.device == "cpu":
            return [self._corrected([line], None)[0] for line in lines]
        corrected: dict[int, str] = {}
        encoded = (self._tokenizer(line, truncation=True, max_length=MAX_LENGTH) for line in lines)
        lengths = [len(each["input_ids"]) for each in encoded]
        for length, places in buckets(lengths, device=self._resources.device):
            while places:
                some, places = places[: self._resources.batch_size], places[self._resources.batch_size :]
                corrected |= zip(some, self._corrected([lines[place] for place in some], length), strict=True)
        return [corrected[place] for place in range(len(lines))]

    def _corrected(self, lines: Sequence[str], length: int | None) -> list[str]:
        """Lines that are computed together, padded to so many tokens; None: as long as the line is."""
        inputs = self._tokenizer(
            lines,
            return_tensors="pt",
            truncation=True,
            max_length=length or MAX_LENGTH,
            padding="max_length" if length else False,
        )
        given = {
            name: to_device(inputs[name], self._resources.device) for name in ("input_ids", "attention_mask")
        }
        with inference(self._resources.device):
            tokens = self._network.generate(**given, max_length=MAX_LENGTH, num_beams=1, do_sample=False)
        return [text.strip() for text in self._tokenizer.batch_decode(tokens, skip_special_tokens=True)]

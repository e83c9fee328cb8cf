"""Texts as vectors: words looked up in a file of vectors, hashed words, or a sentence encoder."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from extract.errors import MissingDependency, UsageError, count
from extract.selection import choose_device
from extract.weights.hashing import sha256_of
from train.errors import DataError

MOST_WORDS = 3000  # of a text: LeBaron
MOST_TOKENS = 512  # of a window of a sentence encoder
TextSteps = Literal["mean", "each"]


class TextEncoder(Protocol):
    """``table``: where its vectors go. ``made_of``: what they depend on besides the text."""

    table: str
    dim: int
    made_of: Mapping[str, Any]

    def encode(self, text: str) -> NDArray[np.float32] | None:
        """(steps, dim), or None where there is nothing to encode."""


def words_of(text: str) -> list[str]:
    """The first MOST_WORDS words: runs of letters, marks and digits of any script, in composed form (NFC)."""
    return unicodedata.normalize("NFC", text).translate(_LETTERS).split()[:MOST_WORDS]


class _Letters(dict[int, int]):
    """Code points that are no part of a word, to a blank; found out when first seen."""

    def __missing__(self, code: int) -> int:
        self[code] = code if unicodedata.category(chr(code))[0] in "LMN" else ord(" ")
        return self[code]


_LETTERS = _Letters()


class WordVectors:
    """Vectors of words from a text file as GloVe's: in each line a word, then its numbers.

    Of the file, which may hold millions of words, those of ``texts`` are kept. A word is looked up as it
    stands, then in lower case; one that the file does not have is left out. ``notes`` says in a line each
    what cannot be used. Raises DataError for a file that holds no vectors.
    """

    table = "words"

    def __init__(self, path: Path, texts: Iterable[str], *, steps: TextSteps = "mean") -> None:
        wanted = {form for text in texts for word in words_of(text) for form in (word, word.lower())}
        self.path, self.steps = path, steps
        self.vectors: dict[str, NDArray[np.float32]] = {}
        self.dim, odd = self._read({form.encode() for form in wanted})
        self.made_of: Mapping[str, Any] = {"words": sha256_of(path), "steps": steps, "most_words": MOST_WORDS}
        self.notes = (
            (
                f"{count(len(odd), 'line')} of {path.name!r} left out: not a word and {self.dim} numbers "
                f"(line {odd[0]})",
            )
            if odd
            else ()
        )

    def encode(self, text: str) -> NDArray[np.float32] | None:
        found = (self._vector(word) for word in words_of(text))
        return _steps([vector for vector in found if vector is not None], self.steps)

    def _vector(self, word: str) -> NDArray[np.float32] | None:
        found = self.vectors.get(word)
        return self.vectors.get(word.lower()) if found is None else found

    def _read(self, wanted: set[bytes]) -> tuple[int, list[int]]:
        """Length of the vectors, and the numbers of lines that are none."""
        dim, odd = 0, []
        try:
            with self.path.open("rb") as file:  # lines end at b"\n" alone: words hold other line breaks
                for number, line in enumerate(file, 1):
                    # The first line says how long vectors are, unless it counts words as word2vec's does.
                    dim = dim or (0 if number == 1 and len(line.split()) == 2 else len(line.split()) - 1)
                    if line.partition(b" ")[0] not in wanted:
                        continue
                    word, *numbers = line.rstrip().rsplit(b" ", dim)
                    vector = _numbers(numbers, dim)
                    if vector is None:
                        odd.append(number)
                    elif word in wanted:
                        self.vectors.setdefault(word.decode(), vector)
        except OSError as error:
            raise DataError(f"cannot read {str(self.path)!r}: {error.strerror}") from error
        if dim < 1 or not self.vectors:
            raise DataError(
                f"{str(self.path)!r} has no vector for any word of the texts: give a text file with a word "
                "and its numbers in each line, as in GloVe"
            )
        return dim, odd


def _numbers(texts: list[bytes], dim: int) -> NDArray[np.float32] | None:
    try:
        vector = np.array([float(text) for text in texts], np.float32)
    except ValueError:
        return None
    return vector if len(vector) == dim and np.isfinite(vector).all() else None


class HashedWords:
    """A vector for every word, drawn from its hash: needs no file, and similar words are not similar.

    Each of the ``dim`` values is 1 or -1, a bit of the word's SHAKE128 (in lower case). Their mean is a bag
    of words projected at random, which keeps distances (Achlioptas 2003, theorem 1.1).
    """

    table = "words"

    def __init__(self, dim: int, *, steps: TextSteps = "mean") -> None:
        if dim < 1:
            raise UsageError(f"--hashed is {dim}; at least 1 value is needed")
        self.dim, self.steps = dim, steps
        self.made_of: Mapping[str, Any] = {"words": "hashed", "steps": steps, "most_words": MOST_WORDS}
        self._vector = lru_cache(maxsize=1 << 16)(self._draw)

    def encode(self, text: str) -> NDArray[np.float32] | None:
        return _steps([self._vector(word.lower()) for word in words_of(text)], self.steps)

    def _draw(self, word: str) -> NDArray[np.float32]:
        drawn = hashlib.shake_128(word.encode()).digest(-(-self.dim // 8))
        bits = np.unpackbits(np.frombuffer(drawn, np.uint8), count=self.dim)
        return np.where(bits, np.float32(1), np.float32(-1))


def _steps(vectors: list[NDArray[np.float32]], steps: TextSteps) -> NDArray[np.float32] | None:
    """(words, dim), or (1, dim) their mean; None of none."""
    if not vectors:
        return None
    stacked = np.stack(vectors)
    return stacked if steps == "each" else stacked.mean(axis=0, keepdims=True)


class SentenceEncoder:
    """A text encoder of transformers in a local folder: the mean of its last hidden states.

    A longer text than it takes is cut into windows, each a step. The mean is over all tokens of a window,
    those that open and close it included. Nothing is fetched, no code of the folder is run, and weights
    are read from safetensors alone. Raises DataError for a folder that holds no such model.
    """

    table = "sentence"

    def __init__(self, folder: Path, *, device: str = "auto") -> None:

        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise MissingDependency(
                "--sentence-encoder needs transformers: pip install transformers"
            ) from error
        self.device = choose_device(device)
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            if not folder.is_dir():
                raise OSError("no such folder")
            self.tokenizer = AutoTokenizer.from_pretrained(str(folder), **local)
            network: Any = AutoModel.from_pretrained(str(folder), use_safetensors=True, **local)
        except (OSError, ValueError, KeyError, ImportError) as error:
            why = str(error).strip().partition("\n")[0]
            raise DataError(
                f"{str(folder)!r} is not a sentence encoder ({why}): give a folder in the format of "
                "transformers, with config.json, model.safetensors and the files of its tokenizer"
            ) from error
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.dim = int(network.config.hidden_size)
        positions = getattr(network.config, "max_position_embeddings", MOST_TOKENS)
        self.most_tokens = min(MOST_TOKENS, self.tokenizer.model_max_length, positions)
        files = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()}
        self.made_of: Mapping[str, Any] = {"sentence_encoder": files, "most_tokens": self.most_tokens}

    def encode(self, text: str) -> NDArray[np.float32] | None:
        windows = [self._mean(window) for window in self._windows(text)]
        return np.stack(windows) if windows else None

    def _windows(self, text: str) -> Iterator[str]:
        """The text in pieces of as many tokens as the network takes."""
        size = self.most_tokens - self.tokenizer.num_special_tokens_to_add()
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        spans = found["offset_mapping"]
        for first in range(0, len(spans), size):
            yield text[spans[first][0] : spans[min(first + size, len(spans)) - 1][1]]

    def _mean(self, window: str) -> NDArray[np.float32]:
        tokens = self.tokenizer(window, truncation=True, max_length=self.most_tokens, return_tensors="pt")
        hidden = self.network(**tokens.to(self.device)).last_hidden_state
        return np.asarray(hidden[0].float().mean(dim=0).cpu().numpy())

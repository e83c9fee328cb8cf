"""Texts to vectors: files of word vectors as they are found, hashed words, a small sentence encoder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from train.errors import DataError
from train.importers.texts import MOST_WORDS, HashedWords, SentenceEncoder, WordVectors, words_of


def close(found: ArrayLike | None, wanted: ArrayLike) -> None:
    assert found is not None
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-6)


def vectors(path: Path, *lines: str) -> Path:
    path.write_bytes("\n".join(lines).encode() + b"\n")
    return path


def test_words_are_runs_of_letters_marks_and_digits() -> None:
    assert words_of("It's 9½ Weeks — naïve…") == ["It", "s", "9½", "Weeks", "naïve"]
    assert words_of("Amélie") == words_of("Ame\u0301lie")
    assert words_of("हिन्दी सिनेमा, кино\u00a0и\u2028映画") == ["हिन्दी", "सिनेमा", "кино", "и", "映画"]
    assert words_of(" .,!\n") == [] and len(words_of("a " * 5000)) == MOST_WORDS == 3000


def test_the_mean_of_the_words_that_the_file_has(tmp_path: Path) -> None:
    path = vectors(
        tmp_path / "glove.txt",
        "the 1 0 0",
        "\u00a0x 9 9 9",  # a word with a blank that is not a space
        "Paris 0 2 0",
        "war 0 0 -3.5e0",
        ". . 7 7 7",  # a word with spaces
        "the 5 5 5",  # a word again: the first counts
    )
    text = "The war, the WAR in Paris (unknown)"
    encoder = WordVectors(path, [text, "nothing here"])
    assert encoder.dim == 3 and encoder.notes == ()
    close(encoder.encode(text), [[2 / 5, 2 / 5, -7 / 5]])
    assert encoder.encode("nothing here") is None and encoder.encode("") is None
    each = WordVectors(path, [text], steps="each").encode(text)
    assert each is not None and each[:, 0].tolist() == [1, 0, 1, 0, 0]
    assert encoder.made_of["words"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_lines_that_are_no_vector_are_said(tmp_path: Path) -> None:
    lines = ["2 3", "war 1 2 3", "love 1 2", "peace 1 x 3", "hope nan 1 1", "end 4 5 6"]
    path = vectors(tmp_path / "vectors.txt", *lines)  # as word2vec writes them: counts first
    encoder = WordVectors(path, ["war love peace hope end"])
    close(encoder.encode("war love peace hope end"), [[2.5, 3.5, 4.5]])
    assert encoder.notes == ("3 lines of 'vectors.txt' left out: not a word and 3 numbers (line 3)",)


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"{}\n", b"strange 1 2\n"])
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.txt").write_bytes(content)
    for name in ("x.txt", "nowhere.txt"):
        with pytest.raises(DataError, match=r"any word of the texts|cannot read"):
            WordVectors(tmp_path / name, ["war"])


def test_hashed_words_are_fixed_signs_that_keep_distances() -> None:
    encoder = HashedWords(1001)
    one = encoder.encode("War")
    assert one is not None and one.shape == (1, 1001) and set(one[0].tolist()) == {-1.0, 1.0}
    bits = np.unpackbits(np.frombuffer(hashlib.shake_128(b"war").digest(126), np.uint8))[:1001]
    np.testing.assert_array_equal(one[0] > 0, bits == 1)
    np.testing.assert_array_equal(HashedWords(1001).encode("WAR!"), one)
    a, b, c = (encoder.encode(text) for text in ("war and peace", "peace and love", "dogs or cats"))
    assert a is not None and b is not None and c is not None
    assert abs((a @ b.T).item() / 1001 - 2 / 9) < 0.1 > abs((a @ c.T).item() / 1001)
    each = HashedWords(8, steps="each").encode("war and war")
    assert each is not None and each.shape == (3, 8) and (each[0] == each[2]).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    import torch

    path = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "war", "peace", "love", "##ly"]
    (path / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(str(path / "vocab.txt")).save_pretrained(path)
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.BertConfig(vocab_size=len(words), max_position_embeddings=8, **sizes)
    transformers.BertModel(config).save_pretrained(path)
    return path


@pytest.mark.slow
def test_a_sentence_encoder_is_the_mean_of_its_last_hidden_states(folder: Path) -> None:
    import torch
    from transformers import BertModel

    encoder = SentenceEncoder(folder, device="cpu")
    assert encoder.dim == 8 and encoder.most_tokens == 8 and encoder.encode("  ") is None
    network = BertModel.from_pretrained(folder).eval()  # type: ignore[no-untyped-call]

    def mean(*tokens: int) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(network(torch.tensor([[2, *tokens, 3]])).last_hidden_state[0].mean(dim=0))

    close(encoder.encode("War, lovely"), [mean(5, 1, 7, 8)])
    longer = encoder.encode("war " * 6 + "peace peace")  # six tokens and the two around them fill a window
    close(longer, [mean(*[5] * 6), mean(6, 6)])
    assert set(encoder.made_of["sentence_encoder"]) >= {"config.json", "model.safetensors"}


def test_what_is_no_sentence_encoder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match="is not a sentence encoder") as caught:
            SentenceEncoder(place, device="cpu")
        assert "\n" not in str(caught.value)

"""The BART speller against a greedy loop over the same network, and alone against in a batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from extract.expert import Resources
from extract.ops.text import bart as module
from extract.ops.text.bart import BartSpeller


@pytest.fixture(scope="module")
def bart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BART of 60 letters and random weights, in the files of a Hugging Face folder."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, processors

    folder = tmp_path_factory.mktemp("bart")
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZĠ'"
    vocabulary = {t: i for i, t in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters, "<mask>"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    from tokenizers import decoders, pre_tokenizers

    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.save(str(folder / "tokenizer.json"))
    config = transformers.BartConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        max_position_embeddings=300,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.BartForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_bart_generates_greedily_from_a_local_folder(bart: Path) -> None:
    """Against a greedy decoding loop over the same network."""
    import torch
    from transformers import AutoTokenizer, BartForConditionalGeneration

    speller = BartSpeller(bart, Resources())
    lines = ["comng soon", "abc", "X"]
    corrected = speller(lines)
    assert corrected == [speller([line])[0] for line in lines]

    tokenizer = AutoTokenizer.from_pretrained(str(bart))
    model = BartForConditionalGeneration.from_pretrained(str(bart))
    model.train(False)
    config = json.loads((bart / "config.json").read_text())
    inputs = tokenizer(lines[0], return_tensors="pt")["input_ids"]
    tokens = [config["decoder_start_token_id"]]
    with torch.no_grad():
        while len(tokens) < 256 and (len(tokens) == 1 or tokens[-1] != config["eos_token_id"]):
            logits = model(input_ids=inputs, decoder_input_ids=torch.tensor([tokens])).logits[0, -1]
            tokens.append(int(logits.argmax()))
    if len(tokens) == 256:
        tokens[-1] = config["eos_token_id"]  # forced at the length limit
    assert corrected[0] == str(tokenizer.decode(tokens, skip_special_tokens=True)).strip()


def test_on_an_accelerator_lines_share_batches(bart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padded and masked, they become what each becomes alone; as many at once as the batch size says."""
    lines = ["comng soon", "abc", "X", "the end of a long line of text"]
    alone = BartSpeller(bart, Resources())(lines)
    speller: Any = BartSpeller(bart, Resources(batch_size=3))
    sizes: list[int] = []
    corrected = speller._corrected

    def counted(some: list[str], length: int | None) -> list[str]:
        sizes.append(len(some))
        texts: list[str] = corrected(some, length)
        return texts

    monkeypatch.setattr(speller, "_corrected", counted)
    monkeypatch.setattr(module, "to_device", lambda array, device: array)
    speller._resources.device = "cuda:0"
    assert speller(lines) == alone
    assert sizes == [3, 1] and speller([]) == []


def test_half_precision_casts_the_weights_once(bart: Path) -> None:
    network = BartSpeller(bart, Resources(precision="bfloat16"))._network
    assert {p.dtype for p in network.parameters()} == {torch.bfloat16}
    assert network.lm_head.weight is network.model.shared.weight  # they share one

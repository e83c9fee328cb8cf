"""DistilBERT against the published class of transformers, with the published configuration, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from extract.nets import distilbert
from extract.nets.distilbert import DistilBert
from extract.weights.checkpoints import seeded, to_be_filled


def test_equals_transformers(parity: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    monkeypatch.setattr(distilbert, "LAYERS", 2)
    folder: Path = parity.checkpoint("distilbert", "distilbert-base-uncased")
    published = json.loads((folder / "config.json").read_text()) | {"n_layers": 2}
    with to_be_filled():
        ours = DistilBert().eval()
        theirs = transformers.DistilBertModel(transformers.DistilBertConfig(**published)).eval()
    seeded(ours, 1)
    theirs.load_state_dict(ours.state_dict())
    tokens = torch.randint(1, distilbert.WORDS, (3, 32), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(tokens)
    mask[1, 20:] = mask[2, 1:] = 0
    with torch.inference_mode():
        for seen in (torch.ones_like(tokens), mask):
            expected = theirs(input_ids=tokens, attention_mask=seen).last_hidden_state
            assert torch.equal(ours(tokens, seen), expected)

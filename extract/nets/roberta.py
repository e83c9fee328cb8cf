"""RoBERTa base (Liu et al. 2019) with a classifier, under the names of the published file."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extract.nets.self_attention import WIDTH, SelfAttention

MLP_WIDTH = 3072
LAYERS = 12
WORDS = 50265
PLACES = 514  # the first two are of no token
FIRST_PLACE = 2
NORM_EPS = 1e-5


class Embeddings(nn.Module):
    """Numbers of tokens (batch, length), none of them padding -> (batch, length, 768)."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(WORDS, WIDTH)
        self.position_embeddings = nn.Embedding(PLACES, WIDTH)
        self.token_type_embeddings = nn.Embedding(1, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=NORM_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(FIRST_PLACE, FIRST_PLACE + tokens.shape[1], device=tokens.device)
        summed = self.word_embeddings(tokens) + self.token_type_embeddings.weight[0]
        result: Tensor = self.LayerNorm(summed + self.position_embeddings(places))
        return result


class Normalised(nn.Module):
    """A linear layer, added to what comes past it, then normalised."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=NORM_EPS)

    def forward(self, values: Tensor, past: Tensor) -> Tensor:
        result: Tensor = self.LayerNorm(self.dense(values) + past)
        return result


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(), "output": Normalised(WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, MLP_WIDTH)})
        self.output = Normalised(MLP_WIDTH)

    def forward(self, states: Tensor) -> Tensor:
        states = self.attention["output"](self.attention["self"](states), states)
        result: Tensor = self.output(F.gelu(self.intermediate["dense"](states)), states)
        return result


class RobertaClassifier(nn.Module):
    """Twelve post-norm blocks; what the first token is at their end, and what a classifier says of it."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        encoder = nn.ModuleDict({"layer": nn.ModuleList(Block() for _ in range(LAYERS))})
        self.roberta = nn.ModuleDict({"embeddings": Embeddings(), "encoder": encoder})
        self.classifier = nn.ModuleDict(
            {"dense": nn.Linear(WIDTH, WIDTH), "out_proj": nn.Linear(WIDTH, classes)}
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Numbers of tokens (batch, length) -> (batch, 768 + classes): last hidden state of <s>, logits."""
        states: Tensor = self.roberta["embeddings"](tokens)
        for block in self.roberta["encoder"]["layer"]:  # type: ignore[index]
            states = block(states)
        first = states[:, 0]
        logits = self.classifier["out_proj"](self.classifier["dense"](first).tanh())
        return torch.cat([first, logits], dim=1)

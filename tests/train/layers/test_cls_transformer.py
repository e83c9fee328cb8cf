"""<CLS> alone against torch's own encoder, which computes every token: loss, gradients, names, work done."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tests.fixtures.batches import make_batch
from train.layers.cls_transformer import GROUP, ClsTransformer
from train.model import GenreModel
from train.registry import make_model

TOLERANCE = 5e-7
DIMS = {"clip": 24, "panns": 12, "asr": 16}
STEPS = {"clip": (9, 4, 0, 1, 6), "panns": (2, 7, 5, 0, 3), "asr": (0, 3, 4, 0, 8)}
GENRES = 4


class FullTransformer(nn.Module):
    """The same weights in ``nn.TransformerEncoder``; the first token of its output."""

    def __init__(self, cls_only: ClsTransformer, block: nn.TransformerEncoderLayer) -> None:
        super().__init__()
        norm = nn.LayerNorm(block.linear1.in_features) if block.norm_first else None
        self.encoder = nn.TransformerEncoder(block, len(cls_only.layers), norm, enable_nested_tensor=False)
        self.encoder.load_state_dict(cls_only.state_dict())  # strict: the names are the encoder's

    def forward(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(tokens, src_key_padding_mask=hidden)
        return encoded[:, 0]


def with_full_transformers(model: GenreModel) -> GenreModel:
    full = copy.deepcopy(model)
    for owner in [module for module in full.modules() if hasattr(module, "transformer")]:
        cls_only = owner.transformer
        assert isinstance(cls_only, ClsTransformer)
        block = cls_only.layers[0]
        assert isinstance(block, nn.TransformerEncoderLayer)
        owner.transformer = FullTransformer(cls_only, block)
    return full


def loss_and_gradients(model: GenreModel) -> tuple[Tensor, dict[str, Tensor]]:
    batch = make_batch(STEPS, DIMS, genres=GENRES)
    loss = model.loss(batch, torch.ones(GENRES))
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return loss.detach(), {name.replace(".encoder.", "."): grad for name, grad in gradients.items()}


@pytest.mark.parametrize("name", ["multi-transformer", "single-transformer", "vit-ast"])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("training", [True, False])
def test_loss_and_gradients_are_those_of_the_full_encoder(
    name: str, norm: str, layers: int, training: bool
) -> None:
    torch.manual_seed(3)
    sizes: dict[str, Any] = {"width": 32, "heads": 4, "feedforward": 48, "longest": 8, "dropout": 0.0}
    model = make_model(name, DIMS, GENRES, {**sizes, "norm": norm, "layers": layers}).train(training)
    with torch.no_grad():
        for weight in model.parameters():  # torch begins with biases of zero
            weight.add_(0.05 * torch.randn_like(weight))
    full = with_full_transformers(model)
    (loss, gradients), (expected, wanted) = loss_and_gradients(model), loss_and_gradients(full)
    assert abs(float(loss - expected)) <= TOLERANCE
    # A frozen perceptron's own genres (vit-ast) are for its own training.
    names = [name for name, _ in model.named_parameters()]
    read = {name for name in names if ".head." not in name.partition("perceptrons")[2]}
    assert gradients.keys() == wanted.keys() == read
    for parameter, gradient in wanted.items():
        torch.testing.assert_close(gradients[parameter], gradient, atol=TOLERANCE, rtol=0, msg=parameter)


def block(width: int, *, norm_first: bool = False, dropout: float = 0.0) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(width, 4, 64, dropout, batch_first=True, norm_first=norm_first)


def flops(module: nn.Module, tokens: Tensor, hidden: Tensor | None = None) -> int:
    if hidden is None:
        hidden = torch.zeros(tokens.shape[:2], dtype=torch.bool)
    with FlopCounterMode(display=False) as counter:
        module(tokens, hidden).sum().backward()
    return int(counter.get_total_flops())


def test_a_token_more_costs_the_last_block_almost_nothing() -> None:
    cls_only = ClsTransformer(block(64), 1)
    full = FullTransformer(cls_only, block(64))
    short, long = torch.randn(2, 40, 64, requires_grad=True), torch.randn(2, 80, 64, requires_grad=True)
    mine, theirs = (flops(module, long) - flops(module, short) for module in (cls_only, full))
    assert mine < theirs / 10


def test_rows_of_all_lengths_keep_their_places() -> None:
    torch.manual_seed(0)
    cls_only = ClsTransformer(block(16), 3)
    full = FullTransformer(cls_only, block(16))
    tokens = torch.randn(3 * GROUP + 1, 30, 16, requires_grad=True)
    hidden = torch.rand(tokens.shape[:2]) < torch.linspace(0, 1, len(tokens)).unsqueeze(1)
    hidden[:, 0] = False  # of the last row <CLS> alone is left
    hidden = hidden[torch.randperm(len(tokens))]
    mine, theirs = cls_only(tokens, hidden), full(tokens, hidden)
    torch.testing.assert_close(mine, theirs, atol=TOLERANCE, rtol=1e-6)
    weights = torch.randn_like(mine)
    of_mine, of_theirs = (torch.autograd.grad((each * weights).sum(), tokens)[0] for each in (mine, theirs))
    torch.testing.assert_close(of_mine, of_theirs, atol=1e-6, rtol=1e-5)
    assert not of_mine[hidden].any()


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("precision", [None, torch.bfloat16, torch.float16])
def test_a_row_alone_gets_what_it_gets_among_others(norm_first: bool, precision: torch.dtype | None) -> None:
    """Without its hidden tokens too; other shapes, other kernels, so up to roundings."""
    torch.manual_seed(0)
    cls_only = ClsTransformer(block(16, norm_first=norm_first), 2).eval()
    tokens = torch.randn(GROUP + 3, 9, 16)
    hidden = torch.rand(tokens.shape[:2]) < torch.linspace(0, 1, len(tokens)).unsqueeze(1)
    hidden[:, 0] = False
    rounding = 1e-6 if precision is None else 16 * torch.finfo(precision).eps
    with torch.inference_mode(), torch.autocast("cpu", dtype=precision, enabled=precision is not None):
        together = cls_only(tokens, hidden).float()
        for row, seen in enumerate(~hidden):
            for kept in (seen, torch.ones_like(seen)):
                alone = cls_only(tokens[row : row + 1, kept], hidden[row : row + 1, kept]).float()
                torch.testing.assert_close(alone[0], together[row], atol=rounding, rtol=0)


def test_short_rows_are_not_computed_at_the_length_of_the_longest() -> None:
    cls_only, tokens = ClsTransformer(block(64), 2), torch.randn(4 * GROUP, 64, 64, requires_grad=True)
    hidden = torch.zeros(tokens.shape[:2], dtype=torch.bool)
    whole = flops(cls_only, tokens, hidden)
    hidden[1:, 8:] = True
    assert flops(cls_only, tokens, hidden) < whole / 2


def test_dropout_draws_in_training_alone_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropped = ClsTransformer(block(16, dropout=0.3), 1).eval()
    tokens, hidden = torch.randn(1, 6, 16), torch.zeros(1, 6, dtype=torch.bool)
    assert torch.equal(dropped(tokens, hidden), dropped(tokens, hidden))
    dropped.train()
    assert not torch.equal(dropped(tokens, hidden), dropped(tokens, hidden))

    reference = FullTransformer(dropped, block(16, dropout=0.3)).train()
    many, unseen = tokens.expand(20_000, -1, -1), hidden.expand(20_000, -1)
    mine, theirs = dropped(many, unseen), reference(many, unseen)
    torch.testing.assert_close(mine.mean(dim=0), theirs.mean(dim=0), atol=0.03, rtol=0)
    torch.testing.assert_close(mine.std(dim=0), theirs.std(dim=0), atol=0.03, rtol=0)

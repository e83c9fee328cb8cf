"""A training step and a prediction of Sulun's transformers, beside the same structure in torch's layers.

``python -m bench.fit`` makes batches of MovieNet's sizes (:data:`bench.loader_systems.EXPERTS`, lengths
within half of the mean) and runs ``multi-transformer`` and ``single-transformer`` with the numbers of Sulun
et al. 2024 and dropout 0. Beside each runs the same model with the same weights, written with torch's layers:
every step is projected, and ``torch.nn.TransformerEncoder`` computes every token of every block. Both take
turns on the same batches; of each the median counts. Losses and gradients are compared before that.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor, nn

from bench.loader_systems import EXPERTS
from train.layers.basic import StepTokens, without_padding
from train.layers.cls_transformer import ClsTransformer
from train.loading.batch import Batch
from train.model import GenreModel
from train.registry import make_model
from train.settings import choose

GENRES = 21
MODELS = ("multi-transformer", "single-transformer")
HEADER = (
    "| model | step ms, torch's layers | step ms | ratio | prediction ms, torch's layers | prediction ms "
    "| ratio | loss apart | gradients apart |\n|---|---|---|---|---|---|---|---|---|"
)


class TorchTransformer(nn.Module):
    """``nn.TransformerEncoder`` over all tokens, of which the first is read."""

    def __init__(self, cls_only: ClsTransformer, block: nn.TransformerEncoderLayer) -> None:
        super().__init__()
        norm = copy.deepcopy(cls_only.norm) if isinstance(cls_only.norm, nn.LayerNorm) else None
        self.encoder = nn.TransformerEncoder(block, len(cls_only.layers), norm, enable_nested_tensor=False)
        self.encoder.load_state_dict(cls_only.state_dict())

    def forward(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(tokens, src_key_padding_mask=hidden)
        return encoded[:, 0]


class TorchTokens(StepTokens):
    """Every step is projected, padding too."""

    def forward(self, features: Tensor, padding: Tensor) -> Tensor:
        tokens: Tensor = self.project(without_padding(features, padding))
        places = torch.arange(padding.shape[1], device=padding.device).repeat(len(padding))
        steps = (~padding).sum(dim=1).repeat_interleave(padding.shape[1])
        placed: Tensor = self.dropout(tokens + self._positions(places, steps).view_as(tokens))
        return placed


def in_torch_layers(model: GenreModel) -> GenreModel:
    """The same model, written with torch's own layers."""
    other = copy.deepcopy(model)
    for module in list(other.modules()):
        if isinstance(module, StepTokens):
            module.__class__ = TorchTokens
        cls_only = getattr(module, "transformer", None)
        if isinstance(cls_only, ClsTransformer):
            block = cls_only.layers[0]
            assert isinstance(block, nn.TransformerEncoderLayer)
            module.transformer = TorchTransformer(cls_only, copy.deepcopy(block))
    return other


def made_up(videos: int, generator: torch.Generator) -> Batch:
    """One batch; an expert's length is within half of its mean."""
    features, padding = {}, {}
    for name, (dim, mean) in EXPERTS.items():
        steps = torch.randint(mean // 2, mean + mean // 2 + 1, (videos, 1), generator=generator)
        padding[name] = torch.arange(int(steps.max())) >= steps
        values = torch.randn(*padding[name].shape, dim, generator=generator)
        features[name] = values.masked_fill(padding[name].unsqueeze(2), 0)
    return Batch(
        ids=tuple(map(str, range(videos))),
        features=features,
        padding=padding,
        present={name: torch.ones(videos, dtype=torch.bool) for name in EXPERTS},
        start_seconds={n: torch.zeros(hidden.shape, dtype=torch.float64) for n, hidden in padding.items()},
        labels=(torch.rand(videos, GENRES, generator=generator) < 0.2).float(),
    )


def step(model: GenreModel, batch: Batch) -> float:
    """Loss and gradients; the loss."""
    model.train().zero_grad()
    loss = model.loss(batch, torch.ones(GENRES))
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def predict(model: GenreModel, batch: Batch) -> None:
    with torch.inference_mode():
        model.eval()(batch)


def apart(model: GenreModel, other: GenreModel, batch: Batch) -> tuple[float, float]:
    """The largest differences of the losses and of the gradients."""
    loss = abs(step(model, batch) - step(other, batch))
    gradients = [[p.grad for p in each.parameters() if p.grad is not None] for each in (model, other)]
    return loss, max(float((a - b).abs().max()) for a, b in zip(*gradients, strict=True))


def compare(name: str, *, videos: int, rounds: int) -> str:
    """A row of the table."""
    options = dict(choose(preset=f"sulun2024/{name}").model_options) | {"dropout": 0.0}
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    inputs = {expert: dim for expert, (dim, _) in EXPERTS.items()}
    model = make_model(name, inputs, GENRES, options)
    other = in_torch_layers(model)
    loss, gradients = apart(model, other, made_up(videos, generator))
    cells = []
    for run in (step, predict):
        seconds = [
            (_seconds(run, other, batch), _seconds(run, model, batch))
            for batch in (made_up(videos, generator) for _ in range(rounds))
        ]
        theirs, ours = (1000 * median(column) for column in zip(*seconds, strict=True))
        cells += [f"{theirs:.0f}", f"{ours:.0f}", f"{ours / theirs:.2f}"]
    return f"| {' | '.join([name, *cells])} | {loss:.1e} | {gradients:.1e} |"


def _seconds(run: Callable[[GenreModel, Batch], object], model: GenreModel, batch: Batch) -> float:
    began = time.perf_counter()
    run(model, batch)
    return time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fit", description=__doc__)
    parser.add_argument("--videos", type=int, default=32, help="in a batch")
    parser.add_argument("--rounds", type=int, default=5, help="batches that both take turns on")
    chosen = parser.parse_args(arguments)
    print(HEADER, flush=True)
    for name in MODELS:
        print(compare(name, videos=chosen.videos, rounds=chosen.rounds), flush=True)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batches of {chosen.videos}")


if __name__ == "__main__":
    main()

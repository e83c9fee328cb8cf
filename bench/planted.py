"""What each model can see: mAP on stores with a planted signal, beside a random classifier's.

``python -m bench.planted`` writes the stores of :mod:`bench.planted_store` for every seed, trains the models
of Sulun et al. 2024 on each and prints a table for docs/results.md. A model's figure is the macro-averaged
average precision of the test split (a fifth of the films), the mean over the seeds and the extremes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.planted_store import PLANTS, Plant, Planted, write_planted
from train.evaluate import Scoring, evaluate_run
from train.fit import FitConfig, fit
from train.registry import model_class
from train.settings import Hardware, choose

TITLES: dict[Plant, str] = {
    "mean": "(a) in the mean of an expert",
    "order": "(b) only in the order of steps",
    "pair": "(c) only in the pairing of two experts",
    "missing": "(d) as (a), an expert missing in 3 films of 10",
}
# Which two of 64 x 48 values belong together takes more films to find than one direction.
FILMS: dict[Plant, int] = {"mean": 2000, "order": 2000, "pair": 4000, "missing": 2000}
MODELS = ("mlp", "multi-transformer", "single-transformer", "vit-ast")
# One size and one training for all models and plants: small, for two cores.
SIZES: dict[str, Any] = {
    "width": 64, "layers": 1, "heads": 4, "feedforward": 128, "dropout": 0.1, "longest": 16,
}  # fmt: skip
TRAINING: dict[str, Any] = {"epochs": 20, "patience": 8, "learning_rate": 1e-3, "batch_size": 64}
# Beside each model as it is: a head that can read a pairing.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "multi-transformer, head 256": ("multi-transformer", {"head": 256}),
}


@dataclass(frozen=True)
class Result:
    """One training: mean average precision of the model and of a random classifier, on the test split."""

    plant: Plant
    model: str
    seed: int
    value: float
    random: float
    seconds: float


def measure(
    plants: Sequence[Plant], models: Sequence[str], seeds: Sequence[int], *, genres: int
) -> Iterator[Result]:
    """Train every model on every plant and seed; the store and the training have the same seed."""
    for plant in plants:
        for seed in seeds:
            with tempfile.TemporaryDirectory(prefix="planted-") as name:
                folder = Path(name)
                write_planted(folder, Planted(plant, FILMS[plant], genres, seed=seed))
                for model in models:
                    yield _train(folder, plant, model, seed)


def _train(folder: Path, plant: Plant, model: str, seed: int) -> Result:
    started = perf_counter()
    name, more = VARIANTS.get(model, (model, {}))
    known = model_class(name).Options.__dataclass_fields__
    options = {
        "model": {key: value for key, value in SIZES.items() if key in known} | more,
        "training": TRAINING | {"seed": seed},
    }
    config = FitConfig(
        folder / "features",
        folder / "labels.csv",
        folder / "runs" / model,
        choose(model=name, options=options),
        Hardware(device="cpu"),
    )
    run = fit(config)
    figure = evaluate_run(run.root, scoring=Scoring(resamples=0)).figures["ap_macro"]
    return Result(plant, model, seed, figure.value, figure.random, perf_counter() - started)


def table(results: Sequence[Result]) -> str:
    """Markdown: a line for each plant, a column for each model."""
    models = list(dict.fromkeys(result.model for result in results))
    lines = [
        f"| genre is planted | {' | '.join(models)} | random |",
        f"|---|{'---|' * (len(models) + 1)}",
    ]
    for plant in dict.fromkeys(result.plant for result in results):
        here = [result for result in results if result.plant == plant]
        cells = [_cell([r.value for r in here if r.model == model]) for model in models]
        chance = sum(r.random for r in here) / len(here)
        lines.append(f"| {TITLES[plant]} | {' | '.join(cells)} | {chance:.3f} |")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.planted", description=__doc__)
    parser.add_argument("--genres", type=int, default=5, help="the most frequent ones")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--plants", nargs="+", choices=PLANTS, default=PLANTS)
    parser.add_argument("--models", nargs="+", default=[*MODELS, *VARIANTS])
    chosen = parser.parse_args(arguments)
    started = perf_counter()
    results = []
    for result in measure(chosen.plants, chosen.models, range(chosen.seeds), genres=chosen.genres):
        results.append(result)
        print(
            f"{result.plant}, {result.model}, seed {result.seed}: {result.value:.3f} "
            f"(random {result.random:.3f}), {result.seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    print(table(results))
    print(f"\n{(perf_counter() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()

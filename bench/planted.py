"""What each model can see: mAP on stores with a planted signal, beside a random classifier's.

``python -m bench.planted`` writes stores of :mod:`bench.planted_store` for every seed, trains some models of
``train/models`` on each and prints a table for docs/results.md. A model's figure is the macro-averaged
average precision of the test split (a fifth of the films), the mean over the seeds and the extremes.
``--plants pattern gate`` does so for what only convolutions through time, and only gated experts, can see;
:mod:`bench.planted_fine` is for sub-genres.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.planted_store import Plant, Planted, write_planted
from train.evaluation.evaluate import evaluate_run
from train.evaluation.figures import Scoring
from train.registry import model_class
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.run_folder import RunFolder
from train.settings import Hardware, choose

TITLES: dict[Plant, str] = {
    "mean": "(a) in the mean of an expert",
    "order": "(b) only in the order of steps",
    "pair": "(c) only in the pairing of two experts",
    "missing": "(d) as (a), an expert missing in 3 films of 10",
    "pattern": "(e) only in two steps that follow each other",
    "gate": "(f) only in many products of two experts, shot by shot",
}
PLANTED: dict[Plant, dict[str, Any]] = {
    "mean": {"videos": 2000},
    "order": {"videos": 2000},
    # Which two of 64 x 48 values belong together takes more films to find than one direction.
    "pair": {"videos": 4000},
    "missing": {"videos": 2000},
    "pattern": {"videos": 2000, "strength": 4.0, "steps": (16, 24)},
    # 48 dimensions have room for 24 pairs of two genres.
    "gate": {"videos": 4000, "genres": 2, "steps": (4, 4)},
    "subgenres": {"videos": 2000, "strength": 4.0},
}
# One size and one training for all models and plants: small, for two cores.
SIZES: dict[str, Any] = {
    "width": 64, "layers": 1, "heads": 4, "feedforward": 128, "dropout": 0.1, "longest": 16,
}  # fmt: skip
TRAINING: dict[str, Any] = {"epochs": 20, "patience": 8, "learning_rate": 1e-3, "batch_size": 64}


@dataclass(frozen=True)
class Column:
    """A model with options of its own; ``experts`` of the store, none: all."""

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    experts: tuple[str, ...] = ()


# A sequence is one clip: no layer before the bottleneck sees two of them.
_SHOTS = {"clips": 1, "sequences": 16}
# Four numbers are left of a clip, after gating or side by side; see "gate" in bench.planted_store.
_NARROW = {"clips": 1, "sequences": 4, "clip_width": 4}
_PLAIN = {"fusion": "naive-concat"}
_ALONE = {"fusion": "direct"}
# What is not simply a model of that name.
COLUMNS: dict[str, Column] = {
    # A head that can read a pairing.
    "multi-transformer, head 256": Column("multi-transformer", {"head": 256}),
    "mlp, pictures": Column("mlp", experts=("pictures",)),
    "i3d-mean, pictures": Column("i3d-mean", experts=("pictures",)),
    "ctt, span 1": Column("ctt", {"span": 1}, ("pictures",)),
    "ctt, span 3": Column("ctt", {"span": 3}, ("pictures",)),
    "mmx": Column("mmx", _NARROW),
    "mmx, naive-concat": Column("mmx", _NARROW | _PLAIN),
    "mmx, naive-concat, clips of 64": Column("mmx", _NARROW | _PLAIN | {"clip_width": 64}),
    "mmx, pictures": Column("mmx", _NARROW | _ALONE, ("pictures",)),
    "mmx, sound": Column("mmx", _NARROW | _ALONE, ("sound",)),
    "mmx, fine": Column("mmx", _SHOTS),
}
_SULUN = ("mlp", "multi-transformer", "single-transformer", "multi-transformer, head 256")
MODELS: dict[Plant, tuple[str, ...]] = {
    "mean": _SULUN,
    "order": _SULUN,
    "pair": _SULUN,
    "missing": _SULUN,
    "pattern": ("mlp, pictures", "i3d-mean, pictures", "ctt, span 1", "ctt, span 3"),
    "gate": ("mmx, pictures", "mmx, sound", "mmx, naive-concat", "mmx", "mmx, naive-concat, clips of 64"),
}
USUAL: tuple[Plant, ...] = ("mean", "order", "pair", "missing")


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
    plants: Sequence[Plant],
    seeds: Sequence[int],
    *,
    genres: int,
    models: Sequence[str] | None = None,
) -> Iterator[Result]:
    """Train models, by default those of the plant, on every plant and seed.

    The store and the training have the same seed.
    """
    for plant in plants:
        for seed in seeds:
            with tempfile.TemporaryDirectory(prefix="planted-") as name:
                folder = Path(name)
                write_planted(folder, planted_of(plant, seed=seed, genres=genres))
                for model in models or MODELS[plant]:
                    yield _measured(folder, plant, model, seed)


def planted_of(plant: Plant, *, seed: int, genres: int) -> Planted:
    """What is planted; ``genres`` unless the plant says so itself."""
    return Planted(plant, seed=seed, **({"genres": genres} | PLANTED[plant]))


def _measured(folder: Path, plant: Plant, model: str, seed: int) -> Result:
    started = perf_counter()
    run = trained(folder, model, seed=seed)
    figure = evaluate_run(run.root, scoring=Scoring(resamples=0)).figures["ap_macro"]
    return Result(plant, model, seed, figure.value, figure.random, perf_counter() - started)


def trained(folder: Path, name: str, *, seed: int) -> RunFolder:
    """A run of a model, or one of :data:`COLUMNS`, on the store and the labels of ``folder``."""
    column = COLUMNS.get(name, Column(name))
    known = model_class(column.model).Options.__dataclass_fields__
    options = {
        "model": {key: value for key, value in SIZES.items() if key in known} | dict(column.options),
        "training": TRAINING | {"seed": seed},
    }
    return fit(
        FitConfig(
            folder / "features",
            folder / "labels.csv",
            folder / "runs" / name,
            choose(model=column.model, experts=column.experts, options=options),
            Hardware(device="cpu"),
        )
    )


def tables(results: Sequence[Result]) -> str:
    """A table for the plants that have the same models."""

    def models(result: Result) -> list[str]:
        return list(dict.fromkeys(other.model for other in results if other.plant == result.plant))

    return "\n\n".join(table(list(same)) for _, same in groupby(results, key=models))


def table(results: Sequence[Result]) -> str:
    """Markdown: a line for each plant, a column for each model."""
    models = list(dict.fromkeys(result.model for result in results))
    lines = [
        f"| genre is planted | {' | '.join(models)} | random |",
        f"|---|{'---|' * (len(models) + 1)}",
    ]
    for plant in dict.fromkeys(result.plant for result in results):
        here = [result for result in results if result.plant == plant]
        cells = [cell([r.value for r in here if r.model == model]) for model in models]
        chance = sum(r.random for r in here) / len(here)
        lines.append(f"| {TITLES[plant]} | {' | '.join(cells)} | {chance:.3f} |")
    return "\n".join(lines)


def cell(values: Sequence[float]) -> str:
    """Mean, and smallest to largest."""
    if not values:
        return ""
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.planted", description=__doc__)
    parser.add_argument("--genres", type=int, default=5, help="the most frequent ones")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--plants", nargs="+", choices=list(MODELS), default=USUAL)
    parser.add_argument("--models", nargs="+", help="default: those of each plant")
    chosen = parser.parse_args(arguments)
    started = perf_counter()
    results = []
    for result in measure(chosen.plants, range(chosen.seeds), genres=chosen.genres, models=chosen.models):
        results.append(result)
        print(
            f"{result.plant}, {result.model}, seed {result.seed}: {result.value:.3f} "
            f"(random {result.random:.3f}), {result.seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    print(tables(results))
    print(f"\n{(perf_counter() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()

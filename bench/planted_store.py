"""Stores whose features carry the genres in a known way, for benchmarks of models.

``python -m bench.planted_store OUT --plant order`` writes ``OUT/features`` and ``OUT/labels.csv``.
Genres come as in MovieNet (:mod:`bench.planted_labels`). Every step of both experts is noise of deviation 1,
and each genre has directions of its own, at right angles to those of others:

- ``mean``: with the genre, a direction is added to every step.
- ``order``: one direction is added to the first half of the steps and another to the second half, with the
  genre in this order, without it the other way round. So the mean, and any other statistic that does not
  look at the order, has the same distribution with the genre and without.
- ``pair``: a direction is added or subtracted in one expert, and one in the other, each sign by a fair coin;
  with the genre the two signs agree, without it they differ. So either expert alone is noise.
- ``missing``: as ``mean``, in both experts; of three films in ten one expert is missing, of another three the
  other.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.planted_labels import draw_labels
from pipeline.location import location
from train.importers.writing import Source, write_store

Plant = Literal["mean", "order", "pair", "missing"]
PLANTS: tuple[Plant, ...] = get_args(Plant)
EXPERTS = {"pictures": 64, "sound": 48}
MISSING = 0.3


@dataclass(frozen=True)
class Planted:
    """What is planted: ``strength`` is the length of a genre's direction, ``steps`` from and to, even."""

    plant: Plant
    videos: int = 2000
    genres: int | None = None
    strength: float = 1.0
    steps: tuple[int, int] = (8, 16)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.plant not in PLANTS or self.videos < 1 or self.strength <= 0:
            raise ValueError(f"a plant is {', '.join(PLANTS)}, of some videos and some strength: {self}")
        if not 2 <= self.steps[0] <= self.steps[1]:
            raise ValueError(f"at least 2 steps are needed, from fewer to more: {self.steps = }")


def write_planted(folder: Path, planted: Planted, *, labels: Path | None = None) -> tuple[Path, Path]:
    """Write ``features`` and ``labels.csv`` into ``folder``; their paths."""
    genres, matrix = draw_labels(planted.videos, seed=planted.seed, labels=labels, most=planted.genres)
    ids = [f"film{number:06d}" for number in range(planted.videos)]
    folder.mkdir(parents=True, exist_ok=True)
    made_of = {"planted": asdict(planted), "genres": list(genres)}
    sources = [
        Source(name, dim, partial(_vectors, planted, name, matrix), made_of) for name, dim in EXPERTS.items()
    ]
    write_store(location(folder / "features"), ids, sources, options=made_of)
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "genres"])
        for name, row in zip(ids, matrix, strict=True):
            writer.writerow([name, json.dumps([genres[i] for i in np.flatnonzero(row)])])
    return folder / "features", folder / "labels.csv"


def _vectors(planted: Planted, expert: str, matrix: NDArray[np.bool_], video_id: str) -> NDArray[Any] | None:
    """One film's steps of an expert, (time, dim) float32; a function of the seed and the id."""
    number = int(video_id[4:])
    both = np.random.default_rng((planted.seed, number))  # what the experts have in common
    which, flips = both.random(), both.choice((-1.0, 1.0), matrix.shape[1])
    experts = list(EXPERTS)
    place = experts.index(expert)
    if planted.plant == "missing" and place * MISSING <= which < (place + 1) * MISSING:
        return None
    own = np.random.default_rng((planted.seed, number, place))
    half = int(own.integers(planted.steps[0] // 2, planted.steps[1] // 2 + 1))
    values = own.normal(size=(2 * half, EXPERTS[expert]))
    has = np.where(matrix[number], 1.0, -1.0)
    first, second = planted.strength * _directions(planted.seed, expert, matrix.shape[1])
    if planted.plant == "order":
        ahead = (has[:, None] > 0).astype(float)
        values[:half] += (ahead * first + (1 - ahead) * second).sum(axis=0)
        values[half:] += (ahead * second + (1 - ahead) * first).sum(axis=0)
    elif planted.plant == "pair":
        values += (flips if place == 0 else flips * has) @ first
    else:
        values += matrix[number] @ first
    return values.astype(np.float32)


def _directions(seed: int, expert: str, genres: int) -> NDArray[np.float64]:
    """Two for each genre, (2, genres, dim), all at right angles."""
    dim = EXPERTS[expert]
    if 2 * genres > dim:
        raise ValueError(
            f"{expert} has {dim} dimensions: room for {dim // 2} genres, {genres} were asked for"
        )
    random = np.random.default_rng((seed, 1 + list(EXPERTS).index(expert)))
    vectors, _ = np.linalg.qr(random.normal(size=(dim, 2 * genres)))
    return np.asarray(vectors.T.reshape(2, genres, dim))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write one store."""
    parser = argparse.ArgumentParser(prog="python -m bench.planted_store", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plant", choices=PLANTS, required=True)
    parser.add_argument("--videos", type=int, default=2000)
    parser.add_argument("--genres", type=int, help="only the most frequent ones; default: all 21")
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels", type=Path, help="a table of genres to draw from")
    chosen = parser.parse_args(arguments)
    planted = Planted(chosen.plant, chosen.videos, chosen.genres, chosen.strength, seed=chosen.seed)
    features, labels = write_planted(chosen.out, planted, labels=chosen.labels)
    print(f"{planted.videos} films: {features} and {labels}")


if __name__ == "__main__":
    main()

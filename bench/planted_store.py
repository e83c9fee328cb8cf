"""Stores whose features carry the genres in a known way, for benchmarks of models.

``python -m bench.planted_store OUT --plant order`` writes ``OUT/features`` and ``OUT/labels.csv``, and with
sub-genres ``OUT/subgenres.csv``. Genres come as in MovieNet (:mod:`bench.planted_labels`). Every step of both
experts is noise of deviation 1, and each genre has directions of its own, at right angles to those of others:

- ``mean``: with the genre, a direction is added to every step.
- ``order``: one direction is added to the first half of the steps and another to the second half, with the
  genre in this order, without it the other way round. So the mean, and any other statistic that does not
  look at the order, has the same distribution with the genre and without.
- ``pair``: a direction is added or subtracted in one expert, and one in the other, each sign by a fair coin;
  with the genre the two signs agree, without it they differ. So either expert alone is noise.
- ``missing``: as ``mean``, in both experts; of three films in ten one expert is missing, of another three the
  other.
- ``pattern``: at one place of the film, drawn anew for every genre, one direction is added to a step and
  another to the next one, with the genre in this order, without it the other way round. All other steps are
  noise. So the steps as a set have the same distribution with the genre and without, and so has the place.
- ``gate``: two steps of the two experts at the same time are a pair. To each, :data:`PAIRS` directions of the
  genre are added, with signs by fair coins that are tossed anew for every step; with the genre the signs of
  the two experts agree, without it they differ. So either expert alone is noise.
- ``subgenres``: as ``mean``, but every genre has :data:`SUBGENRES` sub-genres. A film has one of each of its
  genres, by chance, and its direction is added beside the genre's own. The labels do not name it.

Why ``gate`` needs gating. What tells the genre in a step is a sum of :data:`PAIRS` products, one of each pair
of directions, of which one alone says less. Collaborative gating (:mod:`train.layers.gating`) multiplies each
of the many values of an expert by a function of the whole other expert, and only then are the values summed
to the few numbers that are left of a clip: it can compute such a sum. Experts that are only put side by side
go through a linear layer to these numbers first. Whatever follows, the same head included, sees each number
as a sum of one direction in either expert, which holds one product: with fewer numbers than products, most
are lost. The paper has 768 values and 128 numbers; the benchmark has 64 and 4. Where there is room for all
products, the layers after the concatenation can multiply as well, and gating is not needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.planted_labels import draw_labels, draw_subgenres
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.location import location
from train.importers.writing import Source, write_store

Plant = Literal["mean", "order", "pair", "missing", "pattern", "gate", "subgenres"]
PLANTS: tuple[Plant, ...] = get_args(Plant)
EXPERTS = {"pictures": 64, "sound": 48}
MISSING = 0.3
PAIRS = 24
SUBGENRES = 4


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
    """Write ``features``, ``labels.csv`` and perhaps ``subgenres.csv``; the paths of the former two."""
    genres, matrix = draw_labels(planted.videos, seed=planted.seed, labels=labels, most=planted.genres)
    ids = [f"film{number:06d}" for number in range(planted.videos)]
    folder.mkdir(parents=True, exist_ok=True)
    write_labels(folder / "labels.csv", ids, genres, matrix)
    made_of = {"planted": asdict(planted), "genres": list(genres)}
    if planted.plant == "subgenres":
        names, of = draw_subgenres(genres, matrix, each=SUBGENRES, seed=planted.seed)
        write_labels(folder / "subgenres.csv", ids, names, of)
        matrix = np.concatenate([matrix, of], axis=1)
    sources = [
        Source(name, dim, partial(_vectors, planted, name, matrix), made_of) for name, dim in EXPERTS.items()
    ]
    write_store(location(folder / "features"), ids, sources, options=made_of)
    return folder / "features", folder / "labels.csv"


def write_labels(path: Path, ids: Sequence[str], genres: Sequence[str], matrix: NDArray[np.bool_]) -> None:
    """A row for each video, its genres as JSON; ``matrix`` is (videos, genres)."""
    with path.open("w", encoding="utf-8", newline="") as file:
        has = ([genre for genre, there in zip(genres, row, strict=True) if there] for row in matrix)
        write_csv(file, ("video_id", "genres"), zip(ids, has, strict=True))


@dataclass(frozen=True)
class _Film:
    """What a plant is made of.

    ``has`` (genres,) is 1 or -1, ``flips`` (genres,) a coin for each; ``both`` draws what the experts have in
    common, ``own`` what they have not; ``place`` is the expert's number; ``values`` (time, dim) is noise.
    """

    planted: Planted
    has: NDArray[np.float64]
    flips: NDArray[np.float64]
    both: np.random.Generator
    own: np.random.Generator
    place: int
    values: NDArray[np.float64]

    def directions(self, each: int) -> NDArray[np.float64]:
        """``each`` of every genre, (each, genres, dim), as long as they are added."""
        expert = list(EXPERTS)[self.place]
        return self.planted.strength * _directions(self.planted.seed, expert, len(self.has), each)


def _vectors(planted: Planted, expert: str, matrix: NDArray[np.bool_], video_id: str) -> NDArray[Any] | None:
    """One film's steps of an expert, (time, dim) float32; a function of the seed and the id."""
    number = int(video_id[4:])
    both = np.random.default_rng((planted.seed, number))
    which, flips = both.random(), both.choice((-1.0, 1.0), matrix.shape[1])
    place = list(EXPERTS).index(expert)
    if planted.plant == "missing" and place * MISSING <= which < (place + 1) * MISSING:
        return None
    own = np.random.default_rng((planted.seed, number, place))
    lasts = both if planted.plant == "gate" else own
    half = int(lasts.integers(planted.steps[0] // 2, planted.steps[1] // 2 + 1))
    values = own.normal(size=(2 * half, EXPERTS[expert]))
    film = _Film(planted, np.where(matrix[number], 1.0, -1.0), flips, both, own, place, values)
    _PLANTERS[planted.plant](film)
    return film.values.astype(np.float32)


def _mean(film: _Film, each: int = 2) -> None:
    film.values[:] += (film.has > 0) @ film.directions(each)[0]


def _order(film: _Film) -> None:
    first, second = film.directions(2)
    half, ahead = len(film.values) // 2, (film.has[:, None] > 0).astype(float)
    film.values[:half] += (ahead * first + (1 - ahead) * second).sum(axis=0)
    film.values[half:] += (ahead * second + (1 - ahead) * first).sum(axis=0)


def _pair(film: _Film) -> None:
    signs = film.flips if film.place == 0 else film.flips * film.has
    film.values[:] += signs @ film.directions(2)[0]


def _pattern(film: _Film) -> None:
    directions = film.directions(2)
    for genre, has in enumerate(film.has):
        start = int(film.own.integers(len(film.values) - 1))
        film.values[start : start + 2] += directions[:: int(has), genre]


def _gate(film: _Film) -> None:
    coins = film.both.choice((-1.0, 1.0), (len(film.values), PAIRS, len(film.has)))
    signs = coins if film.place == 0 else coins * film.has
    film.values[:] += np.tensordot(signs, film.directions(PAIRS))


_PLANTERS: Mapping[Plant, Callable[[_Film], None]] = {
    "mean": _mean,
    "order": _order,
    "pair": _pair,
    "missing": _mean,
    "pattern": _pattern,
    "gate": _gate,
    "subgenres": partial(_mean, each=1),
}


def _directions(seed: int, expert: str, genres: int, each: int = 2) -> NDArray[np.float64]:
    """So many for each genre, (each, genres, dim), all of length 1 and at right angles."""
    dim = EXPERTS[expert]
    if each * genres > dim:
        raise ValueError(
            f"{expert} has {dim} dimensions: room for {dim // each} genres, {genres} were asked for"
        )
    random = np.random.default_rng((seed, 1 + list(EXPERTS).index(expert)))
    vectors, _ = np.linalg.qr(random.normal(size=(dim, each * genres)))
    return np.asarray(vectors.T.reshape(each, genres, dim))


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

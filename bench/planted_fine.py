"""What the fine-grained stage finds: sub-genres that no label names, in the space of a run before and after.

``python -m bench.planted_fine`` writes a store with sub-genres (:mod:`bench.planted_store`) for every seed,
trains ``mmx`` on the genres, fine-tunes that run, and prints a table for docs/results.md. As in Figure 6 of
Fish et al. 2021, the silhouette of the genres is expected to fall while what lies within them comes out.

Every film of the test split is a query among all films of the store. The precision at 5, of the sub-genres
and of the genres, is the mean over the queries and what each has: how many of its 5 nearest films have it
too. That of a random order is how many of all other films have it. The silhouette is that of the test split.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from bench.planted import cell, planted_of, trained
from bench.planted_store import write_planted
from train.evaluation.evaluate import read_predictions
from train.finetuning.fine_learner import FineOptions, genre_silhouette
from train.finetuning.finetune import FinetuneConfig, finetune
from train.labels.table import LabelTable, read_labels
from train.retrieval.retrieve import retrieve
from train.runs.embeddings import embed_store
from train.runs.run_folder import RunFolder
from train.settings import Hardware

MODEL = "mmx, fine"
STAGE = FineOptions(epochs=20, constant_epochs=10, learning_rate=1e-3, batch_size=64)
NEIGHBOURS = 5
CPU = Hardware(device="cpu")
COLUMNS = ("precision at 5, sub-genres", "precision at 5, genres", "silhouette, genres")


@dataclass(frozen=True)
class Space:
    """The figures of one space, in the order of :data:`COLUMNS`; a random order has no silhouette."""

    subgenres: float
    genres: float
    silhouette: float = math.nan


def measure(seed: int, *, genres: int) -> dict[str, Space]:
    """A random order, the space of a run that was trained on the genres, and of the fine-tuned one."""
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        features, labels = write_planted(folder, planted_of("subgenres", seed=seed, genres=genres))
        coarse = trained(folder, MODEL, seed=seed)
        stage = replace(STAGE, seed=seed)
        fine = finetune(FinetuneConfig(coarse.root, folder / "runs" / "fine", stage, hardware=CPU))
        queries = read_predictions(coarse.predictions_path, split="test").ids
        tables = [read_labels(folder / "subgenres.csv"), read_labels(labels)]
        return {
            "random": Space(*(chance(table, queries) for table in tables)),
            "trained on genres": _space(coarse, features, queries, tables),
            "fine-tuned": _space(fine, features, queries, tables),
        }


def _space(run: RunFolder, features: Path, queries: Sequence[str], tables: Sequence[LabelTable]) -> Space:
    found = retrieve([run], features, queries, neighbours=NEIGHBOURS, hardware=CPU).neighbours[str(run.root)]
    nearest = {query: [one.video_id for one in ones] for query, ones in found.items()}
    ids, vectors = embed_store(run, features, hardware=CPU)
    chosen = [place for place, name in enumerate(ids) if name in nearest]
    silhouette = genre_silhouette(
        [ids[place] for place in chosen], vectors[chosen], dict(zip(ids, tables[-1].rows(ids), strict=True))
    )
    subgenres, genres = (precision(table, nearest) for table in tables)
    return Space(subgenres, genres, silhouette)


def precision(table: LabelTable, nearest: Mapping[str, Sequence[str]]) -> float:
    """Of each query and each of its labels, the share of ``nearest`` that have the label; the mean."""
    queries = list(nearest)
    shares = np.stack([table.rows(nearest[query]).mean(axis=0) for query in queries])
    return float(shares[table.rows(queries)].mean())


def chance(table: LabelTable, queries: Sequence[str]) -> float:
    """What :func:`precision` is expected to be with all other videos in a random order."""
    others = (table.matrix.sum(axis=0) - 1) / (len(table.ids) - 1)
    has = table.rows(queries)
    return float(np.broadcast_to(others, has.shape)[has].mean())


def table(spaces: Sequence[Mapping[str, Space]]) -> str:
    """Markdown: a line for each space, over the seeds."""
    lines = [f"| space | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for title in spaces[0]:
        figures = zip(*(astuple(seed[title]) for seed in spaces), strict=True)
        lines.append(f"| {title} | {' | '.join(map(cell, figures))} |")
    return "\n".join(lines).replace("nan (nan to nan)", "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, fine-tune, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.planted_fine", description=__doc__)
    parser.add_argument("--genres", type=int, default=5, help="the most frequent ones")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    chosen = parser.parse_args(arguments)
    started = perf_counter()
    spaces = []
    for seed in range(chosen.seeds):
        spaces.append(measure(seed, genres=chosen.genres))
        print(f"seed {seed}: {spaces[-1]}, {perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    print(table(spaces))
    print(f"\n{(perf_counter() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()

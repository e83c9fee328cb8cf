"""A store with every table that the four papers read, whose genres are planted; for ``compare --paper``.

    python -m bench.planted_papers OUT --videos 160

Widths are small, so that a grid is trained in minutes: what the commands of docs/results.md do is the same as
on real features, and their figures say nothing of the papers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.planted_labels import draw_labels
from extract.expert import Column, Embedding, TableSpec
from extract.fingerprint import canonical_json, digest
from extract.tables import table_schema
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.location import location
from pipeline.store.footer import PartHeader, VideoState
from pipeline.store.layout import Store, Target
from pipeline.store.parts import VideoRows, merge_part
from pipeline.store.videos import read_shards
from train.importers.writing import Source, write_store

SHOTS = (12, 20)  # of a film: Fish et al. leave out those of fewer than ten
MOMENTS, FREQUENCIES = 6, 12  # of a spectrogram
DIMS = {
    "clip": 24, "panns": 16, "musicnet": 12, "ocr_distilbert": 24, "asr_distilbert": 24, "vit": 24, "ast": 24,
    "resnet152": 24, "i3d_rgb": 24, "senet": 24, "places": 16, "i3d_flow": 24, "r2plus1d": 16, "vggish": 16,
    "spectrogram": MOMENTS * FREQUENCIES, "vgg16": 24, "poster": 24, "words": 24, "metadata": 24,
}  # fmt: skip
STRENGTH = {"clip": 1.0, "resnet152": 0.8, "senet": 0.9, "words": 0.9, "poster": 0.4}  # others: 0.6
ONE_STEP = ("poster", "words", "metadata")  # of a film
RASHEED = ("average_shot_length_seconds", "colour_variance", "lighting_key", "motion_content")


@dataclass(frozen=True)
class PaperStore:
    """``videos`` films of the ``genres`` most frequent genres of MovieNet's trailers."""

    videos: int = 160
    genres: int = 5
    seed: int = 0


def write_paper_store(out: Path, asked: PaperStore) -> None:
    """``features`` and ``labels.csv``."""
    genres, matrix = draw_labels(asked.videos, seed=asked.seed, most=asked.genres)
    ids = [f"film{number:04d}" for number in range(asked.videos)]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        has = ([genre for genre, there in zip(genres, row, strict=True) if there] for row in matrix)
        years = (1990 + number % 25 for number in range(len(ids)))
        write_csv(file, ("video_id", "genres", "year"), zip(ids, has, years, strict=True))
    made_of = {"planted": asked.videos, "seed": asked.seed}
    sources = [
        Source(name, dim, partial(_vectors, asked, matrix, name), made_of) for name, dim in DIMS.items()
    ]
    store = write_store(location(out / "features"), ids, sources, options=made_of)
    _add_numbers(store, asked, matrix)


def _vectors(asked: PaperStore, matrix: NDArray[np.bool_], expert: str, video_id: str) -> NDArray[Any]:
    """One film's steps, (time, dim): noise, and a direction for each genre that it has."""
    number, place = int(video_id[4:]), list(DIMS).index(expert)
    directions = np.random.default_rng((asked.seed, place)).normal(size=(matrix.shape[1], DIMS[expert]))
    random = np.random.default_rng((asked.seed, number, place))
    steps = 1 if expert in ONE_STEP else shots_of(asked, number)
    shown = STRENGTH.get(expert, 0.6) * matrix[number] @ directions / np.sqrt(DIMS[expert])
    rows: NDArray[np.float64] = shown + random.normal(size=(steps, DIMS[expert]))
    return rows.astype(np.float32)


def shots_of(asked: PaperStore, number: int) -> int:
    """How many shots, of a second each, a film has."""
    return int(np.random.default_rng((asked.seed, number)).integers(SHOTS[0], SHOTS[1] + 1))


def _add_numbers(store: Store, asked: PaperStore, matrix: NDArray[np.bool_]) -> None:
    """The tables of numbers: ``scenes``, and ``lowlevel_video`` with Rasheed's four and a vector."""
    lowlevel = TableSpec(
        columns=tuple(Column(name, "float32", name) for name in RASHEED),
        embedding=Embedding((4,), float32=True),
    )
    specs = {"scenes": TableSpec(columns=(Column("scene", "int32", "number"),)), "lowlevel_video": lowlevel}
    targets = []
    for name, spec in specs.items():
        made_of = {"expert": name, "planted": asked.videos, "seed": asked.seed}
        targets.append(Target(name, digest(canonical_json(made_of)), (name,), (), made_of, {}))
        for shard in read_shards(store):
            header = PartHeader(targets[-1], name, shard.index, spec, "float32")
            rows = (_numbers(asked, matrix, name, spec, video.video_id) for video in shard.videos)
            merge_part(store, header, rows)
    store.record_run([*store.targets(), *targets], options={}, versions={}, started="2026-01-01T00:00:00Z")


def _numbers(
    asked: PaperStore, matrix: NDArray[np.bool_], table: str, spec: TableSpec, video_id: str
) -> VideoRows:
    number = int(video_id[4:])
    rows = shots_of(asked, number) if table == "scenes" else 1
    times = np.arange(rows, dtype=np.float64)
    columns = [
        pa.array([video_id] * rows),
        pa.array(times.astype(np.int32)),
        pa.array(times),
        pa.array(times + 1),
    ]
    if table == "scenes":
        columns.append(pa.array(times.astype(np.int32)))
    else:
        random = np.random.default_rng((asked.seed, number, len(DIMS)))
        values = matrix[number, :1] + random.normal(size=4)
        columns += [pa.array([float(value)], pa.float32()) for value in values]
        columns.append(pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32)), 4))
    batch = pa.RecordBatch.from_arrays(columns, schema=table_schema(spec, dtype="float32"))
    return VideoRows(video_id, VideoState("ok"), iter([batch]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write one store."""
    parser = argparse.ArgumentParser(prog="python -m bench.planted_papers", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--videos", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    write_paper_store(chosen.out, PaperStore(chosen.videos, seed=chosen.seed))
    print(f"{chosen.videos} films: {chosen.out / 'features'} and {chosen.out / 'labels.csv'}")


if __name__ == "__main__":
    main()

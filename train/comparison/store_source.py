"""What tables look up in the store and in the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.errors import StoreError
from pipeline.store.layout import Store, open_store
from pipeline.store.reading import read
from pipeline.store.spent import seconds_a_video
from train.comparison.source import Dataset
from train.comparison.zero_shot import zero_shot_scores
from train.evaluation.evaluate import read_predictions
from train.evaluation.metrics import Floats
from train.labels.splits import Part
from train.runs.config import FitConfig
from train.runs.embeddings import embeddings_of
from train.runs.run_folder import RunFolder
from train.runs.run_store import batches_of
from train.runs.training_data import load
from train.views.scenes import SceneScorer, SceneScores

YEAR_COLUMNS = ("year", "Year", "release_year", "title_year")


@dataclass(frozen=True)
class StoreSource:
    """Of a training that reads all that is compared: its store, labels, split and hardware."""

    asked: FitConfig

    def embed(self, run: Path, part: Part) -> tuple[Sequence[str], NDArray[np.float32]]:
        folder = RunFolder(run)
        model = folder.load_model()
        ids = read_predictions(folder.predictions_path, split=part).ids
        batches = batches_of(
            folder, model, self.asked.features, ids, allow_random_weights=self.asked.allow_random_weights
        )
        hardware = self.asked.hardware
        return embeddings_of(model, batches, device=hardware.torch_device, precision=hardware.precision)

    def shots(self, run: Path) -> Callable[[str], SceneScores]:
        scorer = SceneScorer(
            run,
            self.asked.features,
            hardware=self.asked.hardware,
            allow_random_weights=self.asked.allow_random_weights,
        )
        return scorer.shots

    def dataset(self) -> Dataset:
        data = load(self.asked)
        of = {name: part for part, ids in data.split.parts().items() for name in ids}
        kept = [name for name in data.labels.ids if name in of]
        column = next((name for name in YEAR_COLUMNS if name in data.labels.columns), None)
        return Dataset(
            genres=data.genres,
            target=data.labels.rows(kept),
            splits=tuple(of[name] for name in kept),
            frames=_frames(open_store(self.asked.features), kept),
            years={} if column is None else _years(data.labels.columns[column]),
        )

    def zero_shot(self, ids: Sequence[str], genres: Sequence[str]) -> Floats | None:
        return zero_shot_scores(open_store(self.asked.features), ids, genres)

    def extraction_seconds(self, tables: Sequence[str]) -> float:
        return seconds_a_video(open_store(self.asked.features).run_record(), tables)


def _frames(store: Store, ids: Sequence[str]) -> int | None:
    """How many these videos have, None where the store does not know of all."""
    try:
        frames = read(store, "videos", columns=["frames"], video_ids=list(ids)).column("frames")
    except StoreError:
        return None
    return None if frames.null_count or len(frames) < len(ids) else int(np.sum(frames.to_numpy()))


def _years(cells: Iterable[str]) -> Counter[int]:
    """Years that can be read, in how many videos."""
    return Counter(int(cell[:4]) for cell in cells if cell[:4].isdigit())

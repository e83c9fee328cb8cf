"""Reports of a paper by a stand-in for the training, whose quality is known."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.comparison.compare import compare
from train.comparison.config import CompareConfig
from train.comparison.paper import Cell
from train.comparison.source import Dataset
from train.errors import DataError
from train.evaluation.evaluate import read_predictions
from train.evaluation.figures import Scoring
from train.labels.splits import Part
from train.runs.run_folder import RunFolder, write_predictions
from train.views.scenes import SceneScores

GENRES = ("Action", "Comedy", "Drama")
VIDEOS = 60
QUALITY = {"senet": 2.0, "places": 0.5, "vggish": 1.0, "resnet152": 1.5, "lowlevel_video": 0.3}
FISH = ("senet", "places", "i3d_flow", "r2plus1d", "vggish")


def splits() -> list[str]:
    return ["test"] * VIDEOS + ["validation"] * VIDEOS


def targets() -> NDArray[np.bool_]:
    return np.random.default_rng(0).random((2 * VIDEOS, 3)) < (0.5, 0.3, 0.2)


def train(cell: Cell, folder: Path) -> None:
    """What a training would write: the more of ``QUALITY`` the experts have, the better the scores."""
    target = targets()
    quality = sum(QUALITY.get(name, 1.0) for name in cell.experts) * (0.2 if cell.fine else 1)
    noise = np.random.default_rng(1 + cell.seed).normal(size=target.shape)
    run = RunFolder(folder)
    write_predictions(
        run.predictions_path,
        GENRES,
        ids=[f"v{n:03d}" for n in range(2 * VIDEOS)],
        splits=splits(),
        targets=target,
        scores=(1 / (1 + np.exp(-(noise + quality * (target - 0.5))))).astype(np.float32),
    )
    if cell.fine:
        rows = [f"{epoch},{0.3 - 0.1 * epoch + 0.01 * cell.seed}" for epoch in range(3)]
        (folder / "silhouette.csv").write_text("\n".join(["epoch,silhouette", *rows]) + "\n", "utf-8")
        (folder / "fine").touch()
    else:
        names = ("training/loss", "validation/micro", "validation/loss")
        run.write_history([{"epoch": n, **dict.fromkeys(names, n / 8)} for n in range(1, 4 + cell.seed)])
    record = {"seconds": 10.0, "parameters": 1000 + len(cell.experts)}
    run.write_json(run.training_path, record | {"prediction": {"videos": 100, "seconds": 5.0}})


class Known:
    """What a store would say of the videos."""

    def embed(self, run: Path, part: Part) -> tuple[list[str], NDArray[np.float32]]:
        """The genres can be seen in the space, in the fine-tuned one less so. Ids are in another order."""
        noise = 3.0 if (run / "fine").exists() else 0.5
        vectors = targets() + noise * np.random.default_rng(0).normal(size=(2 * VIDEOS, 3))
        mine = [n for n, split in enumerate(splits()) if split == part][::-1]
        return [f"v{n:03d}" for n in mine], vectors[mine].astype(np.float32)

    def shots(self, run: Path) -> Callable[[str], SceneScores]:
        def of(video_id: str) -> SceneScores:
            if video_id == "v006":
                raise DataError("the store has no shots of 'v006'")
            starts = np.arange(4.0)
            scores = np.tile(np.array([0.9, 0.4, 0.1], np.float32), (4, 1))
            return SceneScores(video_id, GENRES, starts, starts + 1, scores, scores[0])

        return of

    def dataset(self) -> Dataset:
        return Dataset(GENRES, targets(), tuple(splits()), frames=12_000, years={1999: 100, 2001: 20})

    def zero_shot(self, ids: Any, genres: Any) -> None:
        """There are no tags."""

    def extraction_seconds(self, tables: Any) -> float:
        return float("nan") if "vit" in tables else 2.0 * len(tables)


def config(out: Path, paper: str, experts: tuple[str, ...], **more: Any) -> CompareConfig:
    known: dict[str, Any] = {"seeds": (0, 1), "scoring": Scoring(resamples=20)}
    return CompareConfig(out, experts, paper=paper, **(known | more))


@dataclass(frozen=True)
class Report:
    config: CompareConfig
    cells: list[Cell]
    text: str

    @classmethod
    def of(cls, made: CompareConfig, fit: Callable[[Cell, Path], None] = train, **more: Any) -> Report:
        cells: list[Cell] = []

        def fitted(cell: Cell, run: Path) -> None:
            cells.append(cell)
            fit(cell, run)

        return cls(made, cells, compare(made, fitted, source=Known(), **more).read_text("utf-8"))

    def table(self, name: str) -> dict[str, dict[str, str]]:
        with (self.config.out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.config.out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def predicted(
        self, table: str, row: str, part: str = "test"
    ) -> list[tuple[NDArray[np.bool_], NDArray[np.float64]]]:
        """Target and score of a part, of each seed."""
        (paper_table,) = self.config.shown.chosen((table,))
        cell = next(each.cell for each in self.config.rows(paper_table) if each.name == row)
        runs = [self.config.folder(replace(cell, seed=seed)) for seed in self.config.seeds]
        found = [read_predictions(run / "predictions.parquet", split=part) for run in runs]
        return [(np.asarray(each.target, bool), np.asarray(each.score)) for each in found]

    def picture(self, name: str) -> str:
        return (self.config.out / f"{name}.svg").read_text("utf-8")

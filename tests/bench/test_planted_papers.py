"""The store of all papers' tables: every row of every paper can be trained on it."""

from __future__ import annotations

from pathlib import Path

from bench.planted_papers import PaperStore, write_paper_store
from train.comparison.grid import GridConfig, _grid
from train.comparison.paper import paper_names


def test_every_row_of_every_paper_finds_its_tables(tmp_path: Path) -> None:
    write_paper_store(tmp_path, PaperStore(videos=100))
    for name in set(paper_names()) - {"own"}:
        features, out = tmp_path / "features", tmp_path / name
        asked = GridConfig(out, features, tmp_path / "labels.csv", paper=name)  # type: ignore[arg-type]
        grid, trainer = _grid(asked)
        assert grid.left_out() == [], name
        data = trainer.source.dataset()
        assert len(data.genres) == 5 and len(data.target) == 100
        assert data.years and data.frames is None, "no video was decoded"

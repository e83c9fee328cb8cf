"""A run's genres on the pages of a store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.pages.colours import looks_of
from pipeline.store.layout import Store
from tests.fixtures.damage import spoil_part
from tests.train.views.conftest import WITHOUT_SHOTS
from train.runs.run_folder import RunFolder
from train.views.lanes import genres_over_time
from train.views.scenes import SceneScorer


def test_each_video_has_its_genres_of_a_run_that_is_opened_once(
    features: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = SceneScorer(run, features).shots("films/011")
    genres = genres_over_time(run, features)
    monkeypatch.delattr(RunFolder, "load_model")
    assert genres(WITHOUT_SHOTS) is None and genres("films/999") is None
    lane = genres("films/011")
    assert lane is not None and sorted(lane.genres) == sorted(expected.genres)
    assert lane.whole == sorted(lane.whole, reverse=True)
    assert lane.looks == looks_of(lane.genres)
    for genre, scores in zip(lane.genres, lane.scores, strict=True):
        number = expected.genres.index(genre)
        assert scores[2] is None, "nothing begins in the third shot"
        assert scores[0] == pytest.approx(float(expected.scores[0, number]), abs=5e-4)


@pytest.mark.parametrize("table", ["clip", "scenes"])
def test_a_part_that_cannot_be_read_costs_its_videos_alone(
    features: Path, run: RunFolder, tmp_path: Path, table: str
) -> None:
    shutil.copytree(features, tmp_path / "features")
    store = Store(tmp_path / "features")
    genres = genres_over_time(run, store)
    assert genres("films/011") is not None
    for path in (tmp_path / "features" / table).iterdir():
        spoil_part(path)
    assert genres("films/011") is None

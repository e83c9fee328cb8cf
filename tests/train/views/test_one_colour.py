"""One genre, one colour: on the map, the timeline and their pictures, in curves, for runs of other genres."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from pipeline.pages.colours import COLOURS, looks_of
from tests.train.views.test_page import Elements
from tests.train.views.test_space import hand_made
from train.evaluation.curves import genre_curves
from train.evaluation.evaluate import evaluate
from train.evaluation.figures import Predictions, Scoring
from train.evaluation.svg import panels, score_bars
from train.evaluation.tables import Estimate
from train.views.scenes import SceneScores, scenes_picture
from train.views.space import map_picture

RUNS = (("drama", "opera", "crime"), ("comedy", "Crime", "war", "opera", "Drama"))


def timeline(genres: tuple[str, ...]) -> SceneScores:
    """The i-th shot has the i-th genre."""
    count = len(genres)
    starts = np.arange(count, dtype=float)
    scores = np.eye(count, dtype=np.float32)
    return SceneScores("film", genres, starts, starts + 1, scores, scores[0])


def colours_of(page: bytes) -> dict[str, int]:
    (raw,) = (text for _, text in Elements(page.decode()).raw if text.startswith("{"))
    found: dict[str, Any] = json.loads(raw)
    colours = (look % len(COLOURS) for look in found["looks"])
    return dict(zip((genre.lower() for genre in found["genres"]), colours, strict=True))


def test_pages_of_two_runs_show_a_genre_alike() -> None:
    views = [colours_of(page) for run in RUNS for page in (hand_made(run, run).html(), timeline(run).html())]
    for genre in ("drama", "opera", "crime"):
        assert len({view[genre] for view in views if genre in view}) == 1


@pytest.mark.parametrize("run", RUNS)
def test_pictures_have_the_colours_of_the_pages(run: tuple[str, ...]) -> None:
    target = np.tile(np.eye(len(run), dtype=bool), (3, 1))
    some = Predictions(tuple(map(str, range(len(target)))), run, target, target * 0.5 + 0.1)
    lines = {genre: [(0.0, Estimate(1.0)), (1.0, Estimate(0.5))] for genre in run}
    pictures = (
        scenes_picture(timeline(run)),
        map_picture(hand_made(run, run)),
        genre_curves(evaluate(some, Scoring(resamples=0))),
        panels({"a training": lines, "another": dict(reversed(lines.items()))}, steps="recall", genres=run),
        score_bars({"film": (np.ones(len(run)), np.ones(len(run)))}, run, 0.5),
    )
    own = {COLOURS[look % len(COLOURS)] for look in looks_of(run)}
    for picture in pictures:
        assert set(re.findall("|".join(COLOURS), picture.decode())) == own

"""A run's genres over time, as a lane of the pages of a store (``marquee report --run``)."""

from __future__ import annotations

import os
from collections.abc import Callable

from extract.errors import StoreError
from pipeline.pages.colours import looks_of
from pipeline.pages.pieces import numbers
from pipeline.report.lanes import Scores
from pipeline.storage.location import Location
from pipeline.store.layout import Store
from train.errors import DataError
from train.runs.run_folder import RunFolder
from train.views.scenes import SceneScorer


def genres_over_time(
    run: RunFolder | str | os.PathLike[str], store: Store | Location | str | os.PathLike[str]
) -> Callable[[str], Scores | None]:
    """For a ``video_id``, the run's scores of each shot; None for a video without shots or features.

    Genres are sorted by their score of the whole video. Raises DataError for a store that is not what the run
    reads.
    """
    scorer = SceneScorer(run, store)

    def scores(video_id: str) -> Scores | None:
        try:
            found = scorer.shots(video_id).by_score()
        except (DataError, StoreError):  # no shots, or nothing of it that the run can read
            return None
        return Scores(
            genres=found.genres,
            looks=looks_of(found.genres),
            starts=[start for start in numbers(found.start_seconds) if start is not None],
            ends=[end for end in numbers(found.end_seconds) if end is not None],
            scores=[numbers(scores) for scores in found.scores.T],
            whole=[round(float(score), 3) for score in found.whole],
            about=found.about,
        )

    return scores

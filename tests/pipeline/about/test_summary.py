"""Figures of videos against those counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.about.summary import MEANINGS, Summary, covered_seconds, summarise
from pipeline.store.layout import Store


def test_figures_are_those_counted_by_hand(films: Store) -> None:
    found = summarise(films)
    assert found.video_ids == ("a", "b", "c")
    assert {name: values[0] for name, values in found.figures.items()} == pytest.approx(
        {
            "duration_seconds": 10, "shots": 4, "shots_per_minute": 24, "shot_mean_seconds": 2.5,
            "shot_median_seconds": 2, "speech_share": 0.4, "silence_share": 0.5, "brightness": 0.4,
            "motion": 0.4, "failed_experts": 0,
        }
    )  # fmt: skip
    assert found.figures["speech_share"][1] == 0 and math.isnan(found.figures["silence_share"][1])
    assert all(math.isnan(values[2]) for name, values in found.figures.items() if name != "failed_experts")
    assert found.figures["failed_experts"][2] == 3
    assert found.languages == {"a": ("en", "fr")}
    assert list(found.figures) == [name for name in MEANINGS if name in found.figures]
    one = found.distribution("shots")
    assert (one.videos, one.mean, one.median) == (2, 2.5, 2.5)
    rows = found.table().to_pylist()
    assert rows[2]["shots"] is None and rows[0]["languages"] == "en fr"


def test_overlapping_speech_counts_once() -> None:
    assert covered_seconds([(3, 4), (0, 2), (1, 2.5), (1.2, 1.3)]) == 3.5
    assert covered_seconds([]) == 0


def test_outliers_lie_far_from_the_median_by_its_own_spread() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 100.0, np.nan])
    found = Summary(tuple("abcdef"), {"shots": values, "same": np.array([1.0] * 5 + [9.0])}).outliers()
    deviation = 1.4826 * np.median(np.abs(values[:5] - 3))
    ((one,),) = [found]
    assert (one.video_id, one.figure, one.value) == ("e", "shots", 100) and one.z == pytest.approx(
        97 / deviation
    )

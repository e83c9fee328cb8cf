"""ELAN files as pympi reads them back."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pympi import Eaf

from extract.registry import make_expert
from pipeline.export.elan import without_overlaps
from pipeline.export.export import export
from tests.pipeline.about.conftest import level
from tests.pipeline.export.conftest import HOSTILE, RATES, Make


def opened(made: Any) -> Any:
    (path,) = made.folder.rglob("*.eaf")
    return Eaf(path)


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES.keys())
def test_times_of_shots_come_back_within_a_frame(film: Make, tmp_path: Path, rate: float) -> None:
    cuts = [n / rate for n in (0, 1, 30, 1800, 17982, 107892, 215784)]
    shots = list(pairwise(cuts))
    found = opened(export(film(shots, fps=rate), "eaf", tmp_path / "export"))
    marked = sorted(found.get_annotation_data_for_tier("Shots"))
    assert [text for _, _, text in marked] == [str(n) for n in range(len(shots))]
    times = [(start / 1000, end / 1000) for start, end, _ in marked]
    assert times == [pytest.approx(shot, abs=0.0006) for shot in shots]


def test_every_text_comes_back_as_far_as_xml_allows(film: Make, tmp_path: Path) -> None:
    texts = {text: (float(n), n + 0.5) for n, text in enumerate(HOSTILE)}
    found = opened(export(film(said=texts, written=texts), "eaf", tmp_path / "export"))
    allowed = [text.translate(dict.fromkeys((0, 0xB, 0xFFFE))) for text in HOSTILE]
    for tier in ("Titles", "Speech"):
        marked = sorted(found.get_annotation_data_for_tier(tier))
        assert [text for _, _, text in marked] == allowed


def test_other_tables_are_tiers_under_the_meaning_that_they_state(film: Make, tmp_path: Path) -> None:
    rows = [level(0, 0.0, 2.0, rms=0, luma=0, motion=0.25), level(1, 1.0, 3.0, rms=0, luma=0, motion=0.5)]
    store = film(experts={"lowlevel": {"lowlevel": rows, "lowlevel_video": []}})
    found = opened(export(store, "eaf", tmp_path / "export"))
    assert found.get_annotation_data_for_tier("Lowlevel motion content") == [(0, 2000, "0.25")]
    assert found.get_annotation_data_for_tier("Lowlevel motion content 2") == [(1000, 3000, "0.5")]
    assert dict(found.get_properties())["meaning of Lowlevel motion content"]
    assert found.get_linked_files()[0]["MEDIA_URL"] == "./a.mp4"


def test_a_tier_never_overlaps() -> None:
    spans = [(0, 5, "a"), (3, 8, "b"), (5, 9, "c"), (8, 9, "d"), (4, 20, "e")]
    layers = without_overlaps(spans)
    assert [[text for *_, text in layer] for layer in layers] == [["a", "c"], ["b", "d"], ["e"]]


def test_a_video_without_anything_has_no_file(films: Any, tmp_path: Path) -> None:
    made = export(films, "eaf", tmp_path / "export")
    assert (made.files, made.without) == (2, 1)


def test_the_faces_of_a_frame_are_one_annotation(film: Make, tmp_path: Path) -> None:
    spec = make_expert("faces").tables()["faces"]
    empty = {column.name: None for column in spec.columns}
    times = {"start_seconds": 1.0, "end_seconds": 1.04}
    same = {"shot_scale": "close-up"}
    faces = [{**empty, **times, **same, "face": n, "score": score} for n, score in enumerate((0.75, 0.5))]
    found = opened(export(film(experts={"faces": {"faces": faces}}), "eaf", tmp_path / "export"))
    assert found.get_annotation_data_for_tier("Faces score") == [(1000, 1040, "0.75; 0.5")]
    assert found.get_annotation_data_for_tier("Faces shot scale") == [(1000, 1040, "close-up")]

"""Subtitles as pysubs2 reads them back."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pysubs2
import pytest

from pipeline.export.export import export
from pipeline.export.subtitles import plain
from tests.pipeline.export.conftest import HOSTILE, RATES, Make


@pytest.mark.parametrize("kind", ["srt", "vtt"])
@pytest.mark.parametrize("rate", RATES.values(), ids=RATES.keys())
def test_times_come_back_within_a_frame(film: Make, tmp_path: Path, kind: Any, rate: float) -> None:
    spans = [(n / rate, (n + 30) / rate) for n in (0, 17, 1799, 1800, 17982, 107892, 215784)]
    store = film(said={f"line {n}": span for n, span in enumerate(spans)}, fps=rate)
    made = export(store, kind, tmp_path / "export")
    assert (made.videos, made.files, made.without) == (1, 1, 0)
    lines = pysubs2.load(str(tmp_path / "export" / "speech" / f"a.{kind}"))
    assert [line.text for line in lines] == [f"line {n}" for n in range(7)]
    times = [time / 1000 for line in lines for time in (line.start, line.end)]
    assert times == pytest.approx([time for span in spans for time in span], abs=0.0006)


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_no_text_becomes_a_time_a_tag_or_another_line(film: Make, tmp_path: Path, kind: Any) -> None:
    texts = {text: (float(n), n + 0.5) for n, text in enumerate(HOSTILE)}
    export(film(said=texts, written=texts), kind, tmp_path / "export")
    for name in ("speech", "titles"):
        path = tmp_path / "export" / name / f"a.{kind}"
        lines = pysubs2.load(str(path))
        assert [line.start for line in lines] == [1000 * n for n in range(len(HOSTILE))]
        assert [line.text for line in lines] == [plain(text, kind) for text in HOSTILE]
        blocks = path.read_text("utf-8").strip().split("\n\n")
        assert len(blocks) == len(HOSTILE) + (kind == "vtt")
        assert all(block.count("-->") == 1 for block in blocks if block != "WEBVTT")


def test_a_title_stays_long_enough_to_be_read_and_speech_ends_when_it_ends(
    film: Make, tmp_path: Path
) -> None:
    words = {"short": (1.0, 1.04), "long": (5.0, 7.0)}
    made = export(film(said=words, written=words), "srt", tmp_path / "export")
    titles, speech = (pysubs2.load(str(made.folder / name / "a.srt")) for name in ("titles", "speech"))
    assert [(line.start, line.end) for line in titles] == [(1000, 1833), (5000, 7000)]
    assert [(line.start, line.end) for line in speech] == [(1000, 1040), (5000, 7000)]


def test_what_needs_no_change_gets_none() -> None:
    for text in ("1999", "=1+1", "Élise 雪", HOSTILE[-2], "שלום\u200f!", "3 < 4 > 2", "{curly}", "10:30"):
        assert plain(text, "srt") == text
        assert html.unescape(plain(text, "vtt")) == text
    assert html.unescape(plain(HOSTILE[3], "vtt")) == HOSTILE[3]
    assert plain(HOSTILE[-1], "srt") == HOSTILE[-1][1:], "without what turns the line"


def test_titles_and_speech_are_files_of_their_own_and_what_is_not_said_is_left_out(
    films: Any, tmp_path: Path
) -> None:
    made = export(films, "srt", tmp_path / "export")
    assert (made.videos, made.files, made.without) == (3, 2, 2)
    assert {str(path.relative_to(made.folder)) for path in made.folder.rglob("*.srt")} == {
        "speech/films/a.srt",
        "titles/films/a.srt",
    }

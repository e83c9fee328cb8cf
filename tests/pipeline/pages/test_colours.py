"""A genre's look follows from its name, can be told from the others', and stands out from the page."""

from __future__ import annotations

import re
from pathlib import Path

import pipeline
from pipeline.pages.colours import COLOURS, DARK_COLOURS, OUTLINES, colours_js, looks_of

ROOT = Path(pipeline.__file__).parents[1]
LMTD9 = ("Action", "Adventure", "Comedy", "Crime", "Drama", "Horror", "Romance", "SciFi", "Thriller")
OWN = ("telenovela", "giallo", "映画", "!?", "")


def test_runs_that_list_other_genres_show_a_genre_alike() -> None:
    one = dict(zip(LMTD9, looks_of(LMTD9), strict=True))
    others = ("sci-fi", "Western", "drama", "CRIME", *OWN)
    other = dict(zip(others, looks_of(others), strict=True))
    assert (one["Drama"], one["SciFi"], one["Crime"]) == (other["drama"], other["sci-fi"], other["CRIME"])
    assert looks_of(["Science Fiction"]) == [one["SciFi"]]
    turned = dict(zip(reversed(others), looks_of(others[::-1]), strict=True))
    assert turned == other
    alone = {name: looks_of([name])[0] for name in OWN}
    assert all(alone[name] % len(COLOURS) == other[name] % len(COLOURS) for name in OWN)


def test_genres_of_one_run_differ() -> None:
    assert len({look % len(COLOURS) for look in looks_of(LMTD9)}) == len(COLOURS)
    for names in (LMTD9, OWN, LMTD9 + OWN, tuple(f"tag {i}" for i in range(12))):
        looks = looks_of(names)
        assert len(set(looks)) == len(names) and max(looks) < len(COLOURS) * OUTLINES


def test_more_genres_than_looks_all_have_one() -> None:
    assert all(0 <= look < len(COLOURS) * OUTLINES for look in looks_of([f"tag {i}" for i in range(90)]))


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_marks_stand_out_from_both_grounds() -> None:
    style = (ROOT / "pipeline" / "pages" / "page.css").read_text("utf-8")
    pairs = dict(re.findall(r"--(\w+): light-dark\((#\w{6}, #\w{6})\)", style))
    of = {name: pair.split(", ") for name, pair in pairs.items()}
    for theme, marks in enumerate((COLOURS, DARK_COLOURS)):
        for ground in (of["paper"][theme], of["raised"][theme]):
            assert min(contrast(mark, ground) for mark in (*marks, of["edge"][theme])) >= 3
            assert min(contrast(of[text][theme], ground) for text in ("ink", "soft", "accent")) >= 4.5


def test_colours_are_written_in_one_place() -> None:
    named = re.compile("|".join(COLOURS + DARK_COLOURS), re.IGNORECASE)
    files = [
        p
        for folder in ("pipeline", "train")
        for p in (ROOT / folder).rglob("*")
        if p.suffix in (".js", ".py")
    ]
    assert len(files) > 100
    assert [path.name for path in files if named.search(path.read_text("utf-8"))] == ["colours.py"]
    assert all(colour in colours_js() for colour in COLOURS + DARK_COLOURS)

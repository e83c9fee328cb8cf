"""The films of docs/tutorial.md: rendered trailers of four made-up genres, and a table of their genres.

A genre shows in one thing only, so that no expert sees all four: Action in short shots, Horror in dark
pictures, Musical in a tune instead of chirps, Documentary in captions over the shots. A film may have
several. Light and lengths of shots overlap a little, as they do in cinemas.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from bench.demo_trailers import Shot, Texture, Trailer, render_trailer
from pipeline.storage.csv_cells import write_csv

GENRES = ("Action", "Documentary", "Horror", "Musical")
LABELLED, NEW = 60, 3
FPS = 12
SECONDS = 10  # about so long, before the title at the end
TEXTURES: tuple[Texture, ...] = ("bricks", "clouds", "discs", "waves")
FIRST = ("quiet", "white", "last", "golden", "broken", "hidden", "northern", "paper", "silver", "stolen")
SECOND = ("harbour", "mountain", "signal", "garden", "river", "letter", "island", "window")
CAPTIONS = ("FILMED OVER TWO YEARS", "NARRATED BY THE CREW", "THE TRUE STORY", "IN THEIR OWN WORDS")


@dataclass(frozen=True)
class Film:
    trailer: Trailer
    genres: tuple[str, ...]


def films(count: int, *, seconds: float = SECONDS, seed: int = 0) -> Iterator[Film]:
    """So many films, at most 80; about four in ten have each genre. The same for the same seed."""
    random = np.random.default_rng(seed)
    titles = random.permutation([f"the {first} {second}" for first in FIRST for second in SECOND])
    has = np.stack([random.permutation(np.arange(count) % 5 < 2) for _ in GENRES], axis=1)
    none = np.flatnonzero(~has.any(axis=1))
    has[none, random.integers(len(GENRES), size=len(none))] = True
    for title, mine in zip(titles[:count], has, strict=True):
        genres = tuple(genre for genre, there in zip(GENRES, mine, strict=True) if there)
        yield Film(_trailer(str(title), genres, random, seconds), genres)


def _trailer(title: str, genres: Sequence[str], random: np.random.Generator, least: float) -> Trailer:
    shortest, longest = (1.5, 2.1) if "Action" in genres else (2.0, 3.5)
    captions = 0.7 if "Documentary" in genres else 0.0  # share of the shots
    darkest, lightest = (0.2, 0.55) if "Horror" in genres else (0.5, 1.0)
    shots, seconds = [], 0.0
    while seconds < least:
        texture = TEXTURES[random.integers(len(TEXTURES))]
        caption = (CAPTIONS[random.integers(len(CAPTIONS))],) if random.random() < captions else ()
        shots.append(Shot(round(random.uniform(shortest, longest), 2), texture, caption))
        seconds += shots[-1].seconds
    end = Shot(1.5, "black", tuple(title.upper().rsplit(" ", 1)))
    return Trailer(
        title,
        (*shots, end),
        fps=FPS,
        music="tune" if "Musical" in genres else "chirps",
        light=round(random.uniform(darkest, lightest), 3),
    )


def render(folder: Path, *, labelled: int = LABELLED, new: int = NEW, seconds: float = SECONDS) -> None:
    """``videos`` with ``labels.csv``, and ``new`` with ``new-labels.csv``: so many films in each."""
    drawn = list(films(labelled + new, seconds=seconds))
    shown = track(drawn, "rendering", console=Console(stderr=True), transient=True)
    for number, film in enumerate(shown):
        place = "videos" if number < labelled else "new"
        render_trailer(folder / place / f"{film.trailer.name}.mp4", film.trailer)
    for name, part in (("labels.csv", drawn[:labelled]), ("new-labels.csv", drawn[labelled:])):
        rows = sorted((film.trailer.name, "|".join(film.genres)) for film in part)
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            write_csv(file, ["video_id", "genres"], rows)


def main() -> None:
    """Render, and say what is where."""
    parser = argparse.ArgumentParser(prog="python -m bench.tutorial_trailers", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labelled", type=int, default=LABELLED)
    chosen = parser.parse_args()
    render(chosen.folder, labelled=chosen.labelled)
    print(f"{chosen.labelled} films in {chosen.folder}/videos, their genres in {chosen.folder}/labels.csv")
    print(f"{NEW} more in {chosen.folder}/new")


if __name__ == "__main__":
    main()

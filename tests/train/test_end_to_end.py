"""From rendered trailers to the genre of a new one: extract, train, predict, as a user would."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pipeline
from bench.demo_trailers import Shot, Trailer, render_trailer
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.predict import predict_videos
from train.settings import Hardware, choose

FPS = 8  # few frames: what is planted needs no more
PER_GENRE = 4

# What a genre looks and sounds like: texture and pace of its shots, titles, sound.
GENRES = {
    "action": Trailer("", (Shot(1.5, "waves"), Shot(1.5, "waves")), fps=FPS),
    "documentary": Trailer("", (Shot(1.5, "black", ("A TRUE STORY",)),), fps=FPS),
    "drama": Trailer("", (Shot(3.0, "clouds"),), fps=FPS),
    "silent": Trailer("", (Shot(1.5, "bricks"),), fps=FPS, sound=False),
}


def render(folder: Path, genre: str, name: str) -> Path:
    """A trailer of this genre; its name is the seed of colours and movement."""
    path = folder / f"{name}.mp4"
    planted = GENRES[genre]
    render_trailer(path, Trailer(name, planted.shots, planted.fps, planted.sound))
    return path


def test_a_new_trailer_gets_its_genre(tmp_path: Path) -> None:
    videos, store, labels = tmp_path / "videos", tmp_path / "features", tmp_path / "labels.csv"
    with labels.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["video_id", "genres", "part"])
        for number in range(PER_GENRE):
            for genre in GENRES:
                render(videos, genre, f"{genre}/{number:04d}")
                rows.writerow([f"{genre}/{number:04d}", genre, "val" if number == 0 else "train"])
    detector = {"scenes": {"detector": "content"}}  # the quick one
    report = pipeline.run(videos, store, experts=("lowlevel",), options=detector, device="cpu")
    assert report.exit_status == 0 and report.videos == PER_GENRE * len(GENRES)

    options: dict[str, dict[str, Any]] = {
        "training": {"epochs": 60, "learning_rate": 3e-3, "batch_size": 4, "monitor": "loss"},
        "model": {"width": 32},
        "split": {"by": "column", "name": "part"},
    }
    choices = choose(model="mlp", experts=["lowlevel"], options=options)
    run = fit(FitConfig(store, labels, tmp_path / "run", choices, Hardware(device="cpu")))

    new = tmp_path / "new"
    for number, genre in enumerate(GENRES):
        render(new, genre, f"new/{genre}{9990 + number}")
    found = predict_videos(run, new, hardware=Hardware(device="cpu"))
    assert found.without == ()
    best = {video_id: genres[0][0] for video_id, genres in zip(found.ids, found.best(1.0), strict=True)}
    assert best == {f"new/{genre}{9990 + number}": genre for number, genre in enumerate(GENRES)}

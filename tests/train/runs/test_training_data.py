"""Which labelled videos of a store are trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.location import location
from pipeline.store.layout import open_store
from pipeline.store.videos import read_shards, update_videos
from train.importers.writing import Source, write_store
from train.runs.config import FitConfig
from train.runs.training_data import load
from train.settings import Hardware, choose, parse_assignments

FILMS = 30


def shots(video_id: str) -> NDArray[np.float32]:
    """Film i has i + 5 shots."""
    return np.zeros((int(video_id) + 5, 1), np.float32)


def steps(video_id: str) -> NDArray[np.float32]:
    return np.ones((2, 3), np.float32)


def loaded(folder: Path, *assignments: str) -> tuple[set[str], str]:
    """The videos of all parts, and the notes."""
    ids = [f"{i:02d}" for i in range(FILMS)]
    given = ["split.allow_empty_genres=true", *assignments]
    choices = choose(model="mmx", experts=("clip",), options=parse_assignments(given))
    rows = [f"{name},{'even' if int(name) % 2 == 0 else 'odd'}" for name in ids]
    (folder / "labels.csv").write_text("\n".join(["video_id,genres", *rows]) + "\n", "utf-8")
    config = FitConfig(
        folder / "features", folder / "labels.csv", folder / "run", choices, Hardware(device="cpu")
    )
    data = load(config)
    return {name for part in data.split.parts().values() for name in part}, "; ".join(data.notes)


def test_videos_of_fewer_shots_are_left_out(tmp_path: Path) -> None:
    ids = [f"{i:02d}" for i in range(FILMS)]
    sources = [Source("clip", 3, steps, {}), Source("scenes", 1, shots, {})]
    write_store(tmp_path / "features", ids, sources, options={})
    kept, notes = loaded(tmp_path, "labels.least_shots=10")
    assert kept == {f"{i:02d}" for i in range(5, FILMS)}
    assert "5 videos have fewer than 10 shots: left out" in notes
    assert len(loaded(tmp_path)[0]) == FILMS


def test_a_store_without_shots_cannot_tell(tmp_path: Path) -> None:
    write_store(
        tmp_path / "features", [f"{i:02d}" for i in range(FILMS)], [Source("clip", 3, steps, {})], options={}
    )
    kept, notes = loaded(tmp_path, "labels.least_shots=10")
    assert (
        len(kept) == FILMS and "labels.least_shots=10 has no effect: the store has no table 'scenes'" in notes
    )


def test_the_duration_filter_asks_the_store_where_no_column_is_named(tmp_path: Path) -> None:
    """What the store measured; a video that it did not measure is kept."""
    ids = [f"{i:02d}" for i in range(FILMS)]
    write_store(tmp_path / "features", ids, [Source("clip", 3, steps, {})], options={})
    everything, _ = loaded(tmp_path)
    left, said = loaded(tmp_path, "labels.duration_filter=true")
    assert left == everything and "no duration is known" in said
    store = open_store(location(tmp_path / "features"))
    for shard in read_shards(store):
        seconds = {video.video_id: 100.0 + i for i, video in enumerate(shard.videos)}
        first, second, *_ = seconds
        seconds[first] = 4000.0
        del seconds[second]
        update_videos(store, shard.index, {name: {"duration_seconds": t} for name, t in seconds.items()})
    left, said = loaded(tmp_path, "labels.duration_filter=true")
    assert everything - left == {first} and "1 video is shorter than" in said

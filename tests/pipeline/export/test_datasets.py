"""A dataset folder as ``datasets`` reads it, and shards as ``webdataset`` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.export import shards
from pipeline.export.export import export
from pipeline.store.layout import Store
from pipeline.store.reading import read
from tests.pipeline.about.conftest import level
from tests.pipeline.conftest import Kit
from tests.pipeline.export.conftest import HOSTILE, RATES, Make


@pytest.fixture
def vectors(kit: Kit) -> Store:
    """Vectors of three videos in two shards."""
    kit.add("a.mp4", "b.x.mp4", "c.mp4")
    kit.fill(kit.store(), kit.plan(shard_size=2).shards, kit.target())
    return kit.store()


def loaded(folder: Path, table: str | None, cache: Path) -> Any:
    from datasets import load_dataset

    return load_dataset(str(folder), table, split="train", cache_dir=str(cache))


def samples_of(folder: Path) -> list[Any]:
    import webdataset

    tars = sorted(str(path) for path in folder.glob("*.tar"))
    return list(webdataset.WebDataset(tars, shardshuffle=False).decode())


@pytest.mark.slow
def test_every_table_is_a_configuration_with_the_rows_of_the_store(film: Make, tmp_path: Path) -> None:
    said = {text: (n / RATES["29.97"], (n + 1) / RATES["29.97"]) for n, text in enumerate(HOSTILE)}
    rows = [level(0, 0.0, 2.0, rms=0.5, luma=0.25, motion=np.nan)]
    store = film(said=said, experts={"lowlevel": {"lowlevel": rows, "lowlevel_video": []}})
    made = export(store, "huggingface", tmp_path / "export")
    _, head, card = (made.folder / "README.md").read_text().split("---\n", 2)
    names = [config["config_name"] for config in yaml.safe_load(head)["configs"]]
    assert sorted(names) == ["coverage", "lowlevel", "scenes", "videos", "whisper"]
    assert "## lowlevel" in card and "{marquee," in card
    assert loaded(made.folder, None, tmp_path / "cache")["video_id"] == ["a"]
    for name in names:
        found = loaded(made.folder, name, tmp_path / "cache")
        if name == "coverage":
            assert {row["expert"]: row["state"] for row in found}["ocr"] == "absent"
            continue
        wanted = read(store, name)
        assert found.column_names == wanted.column_names
        np.testing.assert_equal(found.to_list(), wanted.to_pylist())


def test_a_dataset_of_some_videos_replaces_one_of_all(vectors: Store, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folder = tmp_path / "export"
    made = export(vectors, "huggingface", folder)
    assert made.videos == 3 and len(list(folder.glob("clip/*.parquet"))) == 2
    assert pq.read_table(folder / "clip")["embedding"].combine_chunks().type.list_size == 4
    export(vectors, "huggingface", folder, video_ids=["c"])
    (path,) = folder.glob("clip/*.parquet")
    assert set(pq.read_table(path)["video_id"].to_pylist()) == {"c"}
    assert pq.read_table(folder / "coverage")["video_id"].to_pylist() == ["c"]


@pytest.mark.slow
def test_a_sample_is_a_video(vectors: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = export(vectors, "webdataset", tmp_path / "export")
    assert (made.videos, made.files) == (3, 1)
    samples = samples_of(made.folder)
    assert [sample["json"]["video_id"] for sample in samples] == ["a", "b.x", "c"]
    assert samples[0]["__key__"] == "a" and samples[1]["__key__"].startswith("b_x~")
    for sample in samples:
        wanted = read(vectors, "clip", video_ids=[sample["json"]["video_id"]])
        np.testing.assert_array_equal(sample["clip.npz"]["embedding"], wanted["embedding"].to_pylist())
        np.testing.assert_array_equal(sample["clip.npz"]["end_seconds"], wanted["end_seconds"])
        assert sample["clip.json"]["text"] == wanted["text"].to_pylist()
    monkeypatch.setattr(shards, "SHARD_BYTES", 1)
    assert export(vectors, "webdataset", made.folder).files == 3
    assert len(samples_of(made.folder)) == 3
    monkeypatch.undo()
    export(vectors, "webdataset", made.folder)
    assert len(samples_of(made.folder)) == 3, "shards of the older export are gone"


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES.keys())
def test_a_sample_keeps_times_and_texts_and_has_no_nan(film: Make, tmp_path: Path, rate: float) -> None:
    said = {text: (n / rate, (n + 1) / rate) for n, text in enumerate(HOSTILE)}
    rows = [level(0, 0.0, 2.0, rms=0.5, luma=0.25, motion=np.nan)]
    name = "x" * 120  # longer than the oldest tar allows
    store = film(said=said, name=name, experts={"lowlevel": {"lowlevel": rows, "lowlevel_video": []}})
    (sample,) = samples_of(export(store, "webdataset", tmp_path / "export").folder)
    speech = sample["whisper.json"]
    assert list(zip(speech["start_seconds"], speech["end_seconds"], strict=True)) == list(said.values())
    assert speech["text"] == list(said) and sample["__key__"] == name
    assert sample["lowlevel.json"]["motion_content"] == [None]
    assert json.dumps(sample["json"], allow_nan=False) and sample["json"]["states"]["ocr"] == "absent"

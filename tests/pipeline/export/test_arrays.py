"""CSV as pandas reads it back, arrays as video_features' loaders do."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.export.export import export
from pipeline.storage.csv_cells import unescaped
from pipeline.store.layout import Store
from pipeline.store.reading import read
from tests.pipeline.about.conftest import level
from tests.pipeline.conftest import Kit
from tests.pipeline.export.conftest import HOSTILE, RATES, Make


def test_csv_has_every_column_but_vectors_and_pictures(films: Store, tmp_path: Path) -> None:
    made = export(films, "csv", tmp_path / "export")
    names = {str(path.relative_to(made.folder)) for path in made.folder.rglob("*.csv")}
    assert names == {f"{t}/films/a_{t}.csv" for t in ("scenes", "thumbnails", "ocr", "whisper")} | {
        f"{t}/films/b_{t}.csv" for t in ("scenes", "thumbnails")
    }
    titles = pd.read_csv(made.folder / "ocr/films/a_ocr.csv")
    assert titles["corrected"].tolist() == ["COMING SOON", "Élise"]
    assert json.loads(titles["box"][0]) == [0.0] * 8
    stills = pd.read_csv(made.folder / "thumbnails/films/a_thumbnails.csv")
    assert "jpeg" not in stills and stills["width"].tolist() == [64] * 4


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES.keys())
def test_csv_keeps_times_and_texts_to_the_last_digit(film: Make, tmp_path: Path, rate: float) -> None:
    said = {text: (n / rate, (n + 1) / rate) for n, text in enumerate(HOSTILE)}
    made = export(film(said=said), "csv", tmp_path / "export")
    found = pd.read_csv(made.folder / "whisper/a_whisper.csv", encoding="utf-8")
    assert list(zip(found["start_seconds"], found["end_seconds"], strict=True)) == list(said.values())
    assert [unescaped(cell) for cell in found["text"]] == list(said)


def test_a_spreadsheet_computes_no_title_and_numbers_stay_numbers(film: Make, tmp_path: Path) -> None:
    formulas = ['=HYPERLINK("http://x","y")', "+1", "@SUM(A1)", "-5", "-2+3"]
    plain = ["COMING SOON", "-aB_c", "5", "'90s"]
    texts = {text: (float(n), n + 0.5) for n, text in enumerate(formulas + plain)}
    lowlevel = {"lowlevel": [level(0, 0.0, 2.0, rms=0.5, luma=0.25, motion=-0.25)], "lowlevel_video": []}
    store = film(written=texts, said={"": (0.0, 1.0)}, experts={"lowlevel": lowlevel})
    made = export(store, "csv", tmp_path / "export")
    with (made.folder / "ocr/a_ocr.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cells = [row["text"] for row in rows]
    assert cells == [*(f"'{text}" for text in formulas), *plain]
    assert [unescaped(cell) for cell in cells] == list(texts)
    assert {row["score"] for row in rows} == {"0.9"}
    assert pd.read_csv(made.folder / "lowlevel/a_lowlevel.csv")["motion_content"].tolist() == [-0.25]
    assert ',"",' in (made.folder / "whisper/a_whisper.csv").read_text(), "a text, and not an absent one"


def test_arrays_have_the_names_shapes_and_milliseconds_of_video_features(film: Make, tmp_path: Path) -> None:
    rows = [level(n, 2.0 * n, 2.0 * n + 1, rms=0.5, luma=0.25, motion=1) for n in range(3)]
    store = film(fps=30000 / 1001, experts={"lowlevel": {"lowlevel": rows, "lowlevel_video": []}})
    made = export(store, "numpy", tmp_path / "export")
    folder = made.folder / "lowlevel"
    assert {path.name for path in folder.iterdir()} == {
        f"a_{key}.npy" for key in ("lowlevel", "timestamps_ms", "fps")
    }
    vectors = np.load(folder / "a_lowlevel.npy")
    stored = np.stack(read(store, "lowlevel")["embedding"].to_pylist())
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, stored.astype(np.float32))
    np.testing.assert_array_equal(np.load(folder / "a_timestamps_ms.npy"), [0, 2000, 4000])
    assert np.load(folder / "a_fps.npy") == 30000 / 1001
    assert not (made.folder / "scenes").exists()


def test_vectors_of_one_video_are_those_of_the_store(kit: Kit, tmp_path: Path) -> None:
    kit.add("a.mp4", "b.mp4", "c.mp4")
    target: Any = kit.target()
    kit.fill(kit.store(), kit.plan().shards, target)
    made = export(kit.store(), "numpy", tmp_path / "arrays", video_ids=["b"])
    assert (made.videos, made.files) == (1, 3)
    wanted = read(kit.store(), "clip", video_ids=["b"])["embedding"].to_pylist()
    np.testing.assert_array_equal(np.load(made.folder / "clip/b_clip.npy"), np.float32(wanted))

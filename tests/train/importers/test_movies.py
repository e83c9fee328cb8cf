"""A table of movies becomes tables of a store that the trainer streams."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from extract.errors import StoreError, UsageError
from pipeline.store.layout import Store, open_store
from pipeline.store.lock import writing
from pipeline.store.parts import merge_part
from pipeline.store.verify import verify
from train.cli.commands import app
from train.errors import DataError
from train.importers import writing as writing_module
from train.importers.categories import Categories
from train.importers.movies import Encoders, Imported, MovieColumns, import_movies
from train.importers.texts import HashedWords
from train.importers.writing import Source, write_store
from train.labels.table import read_labels
from train.loading.features import FeatureSet
from train.loading.stream import Loader

ROWS: list[dict[str, Any]] = [
    {"id": "tt1", "plot": "A war.", "director": "Ava|Bo", "rating": "PG", "genres": "War|Drama"},
    {"id": "tt2", "plot": "Deux\nmots, 映画", "director": "['Ava']", "rating": "R", "genres": '["Drama"]'},
    {"id": "tt3", "plot": "", "director": "", "rating": "N/A", "genres": ""},
    {"id": "Mr. Nobody", "plot": "n/a", "director": "Cy", "rating": "PG", "genres": "[{'name': 'War'}]"},
]  # fmt: skip
COLUMNS = MovieColumns(texts=("plot",), categories=("director", "rating"), genres="genres")


def encoders(**more: Any) -> Encoders:
    return Encoders(text=lambda _: HashedWords(16), least_rows=2, **more)


def write(path: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    rows = ROWS if rows is None else rows
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), "utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


def bring(folder: Path, path: Path, columns: MovieColumns = COLUMNS, **more: Any) -> Imported:
    labels = folder / "labels.csv" if columns.genres else None
    return import_movies(path, folder / "store", columns, encoders(**more), labels=labels)


def read(root: Path, table: str) -> dict[str, list[float]]:
    """The first step of every video that has any."""
    features = FeatureSet.open(root, [table])
    (batch,) = Loader(features, features.ids)
    return {name: batch.features[table][i, 0].tolist() for i, name in enumerate(batch.ids)}


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_a_table_becomes_a_store_and_labels(tmp_path: Path, suffix: str) -> None:
    found = bring(tmp_path, write(tmp_path / f"movies{suffix}"))
    assert (found.videos, found.rows) == (4, 4)
    assert found.dims == {"words": 16, "metadata": 2 + 2} and found.found == {"words": 2, "metadata": 3}
    assert verify(open_store(tmp_path / "store")).problems == ()
    # director: Ava, others; rating: PG, others
    assert read(tmp_path / "store", "metadata") == {
        "tt1": [1, 1, 1, 0],
        "tt2": [1, 0, 0, 1],
        "Mr. Nobody": [0, 1, 1, 0],
    }
    hashed = HashedWords(16)
    words = read(tmp_path / "store", "words")
    assert words.keys() == {"tt1", "tt2"}
    for name, text in (("tt1", "a war"), ("tt2", "deux mots 映画")):
        np.testing.assert_allclose(np.array([words[name]]), np.array(hashed.encode(text)), atol=1e-3)
    labels = read_labels(tmp_path / "labels.csv")
    assert labels.ids == ("Mr. Nobody", "tt1", "tt2") and labels.genres == ("Drama", "War")
    assert labels.matrix.tolist() == [[False, True], [True, True], [True, False]]
    assert found.notes == ("1 row without genres: not in 'labels.csv'",)


def test_odd_rows_are_said_and_the_others_kept(tmp_path: Path) -> None:
    text = 'id;plot;director\ntt1;War.;Ava\n;No id.;Bo\ntt2;Too;many;cells\ntt1;Again.;Bo\ntt4;"[";"[Ava"\n'
    (tmp_path / "movies.csv").write_text("\ufeff" + text, "utf-8")
    found = bring(tmp_path, tmp_path / "movies.csv", MovieColumns(texts=("plot",), categories=("director",)))
    assert found.notes == (
        "1 row left out, with a different number of cells than the header (row 4)",
        "1 row left out, without an id (row 3)",
        "1 row left out, with the id of an earlier row (row 5)",
        "1 row without 'director', which is no list of names there (row 6)",
    )
    assert found.videos == 2 and found.found == {"words": 1, "metadata": 1}


def test_rows_without_ids_are_named_by_their_number(tmp_path: Path) -> None:
    rows = [{"title": name} for name in ("Casino Royale", "Casino Royale")]
    found = bring(tmp_path, write(tmp_path / "m.csv", rows), MovieColumns(texts=("title",)))
    assert read(tmp_path / "store", "words").keys() == {"0000002", "0000003"}
    assert found.notes == ("no column has ids: rows are named by their number in the file",)


def trailers(root: Path, *ids: str) -> Store:
    def vectors(video_id: str) -> NDArray[np.float32]:
        return np.full((2, 3), len(video_id), np.float32)

    return write_store(root, ids, [Source("clip", 3, vectors, {"by": "test"})], options={"clip": {}})


def test_rows_join_the_trailers_of_a_store(tmp_path: Path) -> None:
    trailers(tmp_path / "store", "films/tt1", "films/tt2", "films/unknown")
    found = bring(tmp_path, write(tmp_path / "movies.csv"))
    assert (found.videos, found.rows, found.found) == (3, 2, {"words": 2, "metadata": 2})
    assert found.notes == (
        "2 rows without a video of the store ('tt3', 'Mr. Nobody')",
        "1 video without a row ('films/unknown')",
    )
    store = open_store(tmp_path / "store")
    assert verify(store).problems == ()
    assert store.run_record()["options"].keys() == {"clip", "import movies"}
    (batch,) = Loader(FeatureSet.open(store), ["films/tt1", "films/tt2", "films/unknown"])
    assert batch.present["clip"].all() and batch.present["words"].tolist() == [True, True, False]
    assert read_labels(tmp_path / "labels.csv").ids == ("films/tt1", "films/tt2")


def test_importing_again_says_the_same_and_another_table_replaces(tmp_path: Path) -> None:
    path = write(tmp_path / "movies.csv")
    bring(tmp_path, path)
    before = {p: p.read_bytes() for p in (tmp_path / "store").rglob("part-*-*.parquet")}
    bring(tmp_path, path)
    assert {p: p.read_bytes() for p in (tmp_path / "store").rglob("part-*-*.parquet")} == before
    write(path, [{**row, "plot": "peace"} for row in ROWS])
    assert bring(tmp_path, path).found["words"] == 4
    assert verify(open_store(tmp_path / "store")).problems == ()


def test_an_import_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        tmp_path / "movies.json", [{"title": f"war {i}", "year": 1990.0 + i % 2} for i in range(150)]
    )
    columns = MovieColumns(texts=("title",), categories=("year",))
    written = merge_part

    def killed(store: Store, header: Any, new: Any, **more: Any) -> Any:
        if header.shard == 1:
            raise KeyboardInterrupt
        return written(store, header, new, **more)

    monkeypatch.setattr(writing_module, "merge_part", killed)
    with pytest.raises(KeyboardInterrupt):
        bring(tmp_path, path, columns)
    (tmp_path / "store" / "videos" / "part-00002.parquet").unlink()  # as if killed while planning
    monkeypatch.setattr(writing_module, "merge_part", written)
    found = bring(tmp_path, path, columns)
    assert found.videos == 150 and found.found == {"words": 150, "metadata": 150}
    assert verify(open_store(tmp_path / "store")).problems == ()
    assert list(Categories.load(tmp_path / "store").values.values()) == [("1990", "1991")]


def test_other_movies_with_the_categories_of_a_store(tmp_path: Path) -> None:
    bring(tmp_path, write(tmp_path / "movies.csv"))
    other = [{"id": "x", "plot": "war", "director": "Ava", "rating": "NC-17"}]
    (tmp_path / "new").mkdir()
    columns = MovieColumns(texts=("plot",), categories=("rating", "director"))
    known = Categories.load(tmp_path / "store")
    bring(tmp_path / "new", write(tmp_path / "other.csv", other), columns, categories=known)
    assert read(tmp_path / "new" / "store", "metadata") == {"x": [1, 0, 0, 1]}
    both = [FeatureSet.open(folder / "store").fingerprints for folder in (tmp_path, tmp_path / "new")]
    assert both[0] == both[1]
    with pytest.raises(UsageError, match="categories director, rating: give these by --categories"):
        columns = MovieColumns(texts=("plot",), categories=("rating",))
        bring(tmp_path / "new", tmp_path / "other.csv", columns, categories=known)
    with pytest.raises(DataError, match=r"no categories \(metadata.json\)"):
        Categories.load(tmp_path)


class FakePosters:
    """The mean of each channel; remembers how many were seen together."""

    dim = 3
    made_of = {"random_seed": None}  # noqa: RUF012

    def __init__(self) -> None:
        self.together: list[int] = []

    def crop(self, path: Path) -> NDArray[np.uint8]:
        from extract.experts.vgg16 import _picture

        return _picture(path)

    def vectors(self, crops: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        self.together.append(len(crops))
        return np.array([crop.mean(axis=(0, 1)) for crop in crops], np.float32).reshape(-1, 3)


def test_posters_are_read_from_the_table_on_and_bad_ones_cost_themselves(tmp_path: Path) -> None:
    Image.new("RGB", (8, 12), (10, 20, 30)).save(tmp_path / "a b.png")
    Image.new("L", (8, 12), 40).save(tmp_path / "b.jpg")
    (tmp_path / "c.png").write_text("no picture")
    cells = ["a b.png", str(tmp_path / "b.jpg"), "c.png", "gone.png", "", "\0"]
    rows = [{"id": f"m{i}", "poster": cell} for i, cell in enumerate(cells)]
    posters: Any = FakePosters()
    path = write(tmp_path / "m.json", rows)
    encoders = Encoders(posters=lambda: posters)
    found = import_movies(path, tmp_path / "store", MovieColumns(poster="poster"), encoders)
    assert read(tmp_path / "store", "poster") == {"m0": [10, 20, 30], "m1": [40, 40, 40]}
    assert found.found == {"poster": 2} and posters.together == [2]
    assert len(found.notes) == 1 and "\n" not in found.notes[0]
    assert found.notes[0].startswith("3 posters cannot be read, as 'm2': ")
    states = FeatureSet.open(tmp_path / "store").tables["poster"].states
    assert states == {"ok": 2, "failed": 3, "absent": 1}
    assert verify(open_store(tmp_path / "store")).problems == ()


def test_posters_of_random_weights_are_for_dry_runs(tmp_path: Path) -> None:
    posters: Any = FakePosters()
    posters.made_of = {"random_seed": 7}
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    path = write(tmp_path / "m.csv", [{"id": "a", "poster": "a.png"}])
    import_movies(path, tmp_path / "store", MovieColumns(poster="poster"), Encoders(posters=lambda: posters))
    with pytest.raises(DataError, match="poster extracted with random weights"):
        FeatureSet.open(tmp_path / "store")


def test_a_store_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    store = trailers(tmp_path / "store", "tt1")
    with writing(store), pytest.raises(StoreError, match="is being written"):
        bring(tmp_path, write(tmp_path / "movies.csv"))
    assert not (tmp_path / "store" / "metadata.json").exists()


@pytest.mark.parametrize(
    ("columns", "error", "what"),
    [
        (MovieColumns(), UsageError, "nothing to import"),
        (MovieColumns(texts=("story",)), UsageError, "no column 'story'; it has id, plot"),
        (MovieColumns(texts=("plot",), id="imdb"), UsageError, "no column 'imdb'"),
        (MovieColumns(categories=("rating",)), UsageError, "needs exactly one of --glove"),
        (MovieColumns(texts=("plot",), id="blank"), DataError, "no row with an id"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    tmp_path: Path, columns: MovieColumns, error: type[Exception], what: str
) -> None:
    path = write(tmp_path / "movies.csv", [{**row, "blank": " "} for row in ROWS])
    with pytest.raises(error, match=what) as caught:
        import_movies(path, tmp_path / "store", columns, encoders())
    assert "\n" not in str(caught.value) and not list((tmp_path / "store").glob("*"))


def test_ids_of_no_trailer_are_one_line(tmp_path: Path) -> None:
    trailers(tmp_path / "store", "a")
    with pytest.raises(DataError, match=r"none of the ids .*'tt1'\) is a video of the store \(as 'a'\)"):
        bring(tmp_path, write(tmp_path / "movies.csv"))
    rows = [{"title": "x", "plot": "y"}]
    with pytest.raises(DataError, match=r"\(as '0000002'\) is a video .* name their column by --id"):
        bring(tmp_path, write(tmp_path / "m.csv", rows), MovieColumns(texts=("plot",)))


def test_the_command(tmp_path: Path) -> None:
    path = write(tmp_path / "movies.csv")
    (tmp_path / "glove.txt").write_text("war 1 2\n")
    arguments = ["import", "movies", str(path), "--out", str(tmp_path / "store"), "--text", "plot"]
    more = ["--categories", "director,rating", "--least-rows", "1", "--genres", "genres"]
    labels = ["--labels-out", str(tmp_path / "labels.csv")]
    result = CliRunner().invoke(app, [*arguments, "--glove", str(tmp_path / "glove.txt"), *more, *labels])
    assert result.exit_code == 0, result.output
    assert "words [2]: 1 of 4 videos\nmetadata [7]: 3 of 4 videos" in result.output
    for extra, what in (
        (["--hashed", "8", "--glove", "x"], "cannot be combined"),
        (["--hashed", "8", "--words", "all"], "--words is 'all'; allowed: mean, each"),
        (["--hashed", "0"], "--hashed is 0"),
    ):
        failed = CliRunner().invoke(app, [*arguments, *extra])
        assert isinstance(failed.exception, UsageError) and what in str(failed.exception)

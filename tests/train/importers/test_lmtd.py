"""``lmtd9_resnet152.pickle`` and its database, as their authors' code reads them; hostile ones."""

from __future__ import annotations

import io
import os
import pickle
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.store.layout import Store
from pipeline.store.verify import verify
from train.cli.commands import app
from train.errors import DataError
from train.importers.lmtd import import_lmtd
from train.importers.pickles import load_arrays
from train.labels.table import read_labels
from train.loading.features import FeatureSet
from train.loading.stream import Loader


class Python2(pickle._Pickler):
    """Writes as Python 2's pickle with protocol 2 does: text and bytes alike as 8-bit strings."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_string(self, value: Any) -> None:
        data = value.encode("ascii") if isinstance(value, str) else value
        short = len(data) < 256
        head = b"U" + bytes([len(data)]) if short else b"T" + len(data).to_bytes(4, "little")
        self.write(head + data)  # type: ignore[attr-defined]
        self.memoize(value)  # type: ignore[attr-defined]

    dispatch[str] = save_string
    dispatch[bytes] = save_string

    def save_global(self, value: Any, name: str | None = None) -> None:
        module = value.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{name or value.__qualname__}\n".encode())  # type: ignore[attr-defined]
        self.memoize(value)  # type: ignore[attr-defined]

    dispatch[type] = save_global
    dispatch[type(import_lmtd)] = save_global
    dispatch[type(len)] = save_global


def python2(value: Any) -> bytes:
    written = io.BytesIO()
    Python2(written, protocol=2).dump(value)
    return written.getvalue()


def content() -> dict[str, Any]:
    random = np.random.default_rng(1)

    def frames(count: int) -> Any:
        return random.normal(size=(count, 8)).astype(np.float32)

    return {
        "000002": frames(5),
        "000010": list(frames(3)),  # a list of vectors
        "000031": frames(1),
        "000047": np.zeros(8, np.float32),  # one dimension: passed over by LMTD's own code
        "000052": np.zeros((0, 8), np.float32),
        "000060": [np.zeros(8), np.zeros(7)],
    }


ROWS = [(2, 0, 1, 0, 1), (10, 1, 0, 1, 0), (31, 2, 0, 0, 1), (47, 0, 1, 1, 1)]


def database(path: Path, rows: Any = ROWS) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute('create table lmtd9_0 (id integer, "set" integer, isSciFi, isAction, isDrama)')
        connection.executemany("insert into lmtd9_0 values (?, ?, ?, ?, ?)", rows)
    connection.close()
    return path


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("dump", [python2, pickle.dumps], ids=["python 2", "python 3"])
def test_a_file_becomes_a_store_and_labels(tmp_path: Path, dump: Any) -> None:
    path = write(tmp_path / "lmtd9_resnet152.pickle", dump(content()))
    labels = tmp_path / "labels.csv"
    found = import_lmtd(path, tmp_path / "out", labels, database=database(tmp_path / "database.db"))
    assert (found.videos, found.dim, found.labelled) == (3, 8, 4)
    assert found.left_out == ("000047", "000052", "000060")
    assert found.genres == ("Action", "Drama", "SciFi")
    store = Store(tmp_path / "out")
    assert verify(store).problems == ()
    features = FeatureSet.open(store)
    assert features.dims == {"resnet152": 8}
    (batch,) = Loader(features, features.ids)
    assert batch.ids == ("000002", "000010", "000031")
    for i, name in enumerate(batch.ids):
        expected = np.asarray(content()[name]).astype(np.float16)
        np.testing.assert_array_equal(batch.features["resnet152"][i, : len(expected)].numpy(), expected)
    table = read_labels(labels)
    assert table.ids == ("000002", "000010", "000031", "000047") and table.genres == found.genres
    assert table.matrix.tolist() == [[0, 1, 1], [1, 0, 0], [0, 1, 0], [1, 1, 1]]
    assert table.columns["split"] == ("train", "validation", "test", "train")


def test_the_command(tmp_path: Path) -> None:
    path = write(tmp_path / "f.pickle", python2(content()))
    arguments = ["import", "lmtd", str(path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 0, result.output
    assert "3 videos in" in result.output and "3 without vectors, e.g. 000047" in result.output
    with_labels = ["--labels", str(tmp_path / "l.csv"), "--database", str(database(tmp_path / "d.db"))]
    arguments[-1] = str(tmp_path / "other")
    assert "3 genres of 4 videos in" in CliRunner().invoke(app, [*arguments, *with_labels]).output


class Runs:
    """What a hostile pickle does when it is loaded."""

    def __reduce__(self) -> Any:
        return os.system, ("true",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_in_a_pickle_runs(tmp_path: Path, protocol: int) -> None:
    path = write(tmp_path / "f.pickle", pickle.dumps({"000001": Runs()}, protocol=protocol))
    with pytest.raises(DataError, match="which no file of features needs"):
        import_lmtd(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ([1, 2], "not a dictionary from trailers to vectors"),
        ({}, "not a dictionary"),
        ({1.5: np.ones((2, 3))}, "names of trailers are text"),
        ({"000001": np.ones(3)}, "no trailer with vectors"),
        ({"000001": np.ones((2, 3)), "000002": np.ones((2, 4))}, r"others \(time, 3\)"),
        ({"000001": np.full((2, 3), np.nan)}, "cannot hold"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path: Path, made: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        import_lmtd(write(tmp_path / "f.pickle", pickle.dumps(made)), tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_genres_need_the_database_and_a_place(tmp_path: Path) -> None:
    path = write(tmp_path / "f.pickle", python2(content()))
    with pytest.raises(DataError, match=r"not in the pickle but in lmtd9/data/database.db"):
        import_lmtd(path, tmp_path / "out", tmp_path / "labels.csv")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(2, 3, 0, 0, 1)], "set .0, 1, 2."),
        ([(2, -1, 0, 0, 1)], "set .0, 1, 2."),
        ([("x", 0, 0, 0, 1)], "needs id"),
        ([(2, 0, None, 0, 1)], "needs id"),
    ],
)
def test_a_database_of_another_kind_is_refused(tmp_path: Path, rows: Any, words: str) -> None:
    path = write(tmp_path / "f.pickle", python2(content()))
    for given in (
        database(tmp_path / "d.db", rows),
        write(tmp_path / "text.db", b"words" * 100),
        tmp_path / "no",
    ):
        with pytest.raises(DataError, match=words if given.name == "d.db" else "cannot be read"):
            import_lmtd(path, tmp_path / "out", tmp_path / "labels.csv", database=given)
    assert not (tmp_path / "out").exists() and not (tmp_path / "no").exists()


def test_bytes_of_arrays_survive_the_text_of_python_2(tmp_path: Path) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(2, 128)
    with pytest.raises(UnicodeDecodeError):
        pickle.loads(python2({"a": every}))
    found: Mapping[str, Any] = load_arrays(write(tmp_path / "f.pickle", python2({"a": every})))
    np.testing.assert_array_equal(found["a"], every)

"""Vectors out of Parquet pages, held against Arrow on every layout that a writer can give them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from extract.errors import StoreError
from train.loading import vectors
from train.loading.pages import ColumnChunk, NotPlain
from train.loading.vectors import read_rows

ROWS, DIM = 1000, 48


def table(dtype: str = "float16") -> pa.Table:
    random = np.random.default_rng(3)
    values = random.normal(size=(ROWS, DIM)).astype(dtype)
    return pa.table(
        {
            "video_id": pa.array(["a"] * ROWS),
            "start_seconds": pa.array(random.random(ROWS)),
            "text": pa.array([f"between {i}" for i in range(ROWS)]),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), DIM),
        },
        schema=pa.schema(
            [
                pa.field("video_id", pa.string(), nullable=False),
                pa.field("start_seconds", pa.float64(), nullable=False),
                pa.field("text", pa.string()),
                pa.field("embedding", pa.list_(pa.from_numpy_dtype(np.dtype(dtype)), DIM), nullable=False),
            ]
        ),
    )


def read(path: Path, rows: Any, dtype: str = "float16") -> tuple[NDArray[Any], NDArray[Any]]:
    return read_rows(path, np.asarray(rows, np.int64), of=ROWS, dim=DIM, dtype=np.dtype(dtype))


def expected(content: pa.Table) -> tuple[NDArray[Any], NDArray[Any]]:
    flat = content["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(ROWS, DIM), content["start_seconds"].to_numpy()


@pytest.fixture
def no_arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("Arrow was asked to read a plain column")

    monkeypatch.setattr(vectors, "_read_with_arrow", refuse)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("codec", ["zstd", "snappy", "gzip", "none"])
@pytest.mark.parametrize("page_bytes", [None, 700])  # the small ones begin and end within a vector
@pytest.mark.slow
def test_plain_pages_are_read_without_arrow(
    tmp_path: Path, no_arrow: None, dtype: str, codec: str, page_bytes: int | None
) -> None:
    content = table(dtype)
    pq.write_table(
        content, tmp_path / "x", compression=codec, use_dictionary=["video_id", "text"], row_group_size=300,
        write_page_checksum=True, data_page_size=page_bytes, write_batch_size=50,
    )  # fmt: skip
    wanted = expected(content)
    for rows in (range(ROWS), range(0, ROWS, 7), [0, 299, 300, 301, 999], []):
        found = read(tmp_path / "x", list(rows), dtype)
        assert found[0].dtype == dtype
        np.testing.assert_array_equal(found[0], wanted[0][list(rows)])
        np.testing.assert_array_equal(found[1], wanted[1][list(rows)])


@pytest.mark.parametrize(
    "options",
    [{"data_page_version": "2.0"}, {"use_dictionary": True}, {"column_encoding": "BYTE_STREAM_SPLIT"}],
    ids=["version 2", "dictionary", "split"],
)
def test_other_layouts_are_left_to_arrow(tmp_path: Path, options: dict[str, Any]) -> None:
    content = table("float32")
    if "column_encoding" in options:
        options = {
            "column_encoding": {"embedding.list.element": "BYTE_STREAM_SPLIT"},
            "use_dictionary": False,
        }
    pq.write_table(content, tmp_path / "x", row_group_size=400, **({"use_dictionary": False} | options))
    metadata = pq.read_metadata(tmp_path / "x")
    column = next(i for i in range(4) if metadata.schema.column(i).path == "embedding.list.element")
    with pytest.raises(NotPlain):
        chunk = ColumnChunk.of(metadata, row_group=0, column=column, dtype=np.dtype("float32"))
        data = (tmp_path / "x").read_bytes()[chunk.offset :][: chunk.length]
        chunk.read_into(np.empty((400, DIM), np.float32), memoryview(data), rows=np.arange(400))
    found = read(tmp_path / "x", range(3, ROWS, 5), "float32")
    np.testing.assert_array_equal(found[0], expected(content)[0][3::5])
    np.testing.assert_array_equal(found[1], expected(content)[1][3::5])


def test_pages_without_needed_rows_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_arrow: None
) -> None:
    pq.write_table(
        table(),
        tmp_path / "x",
        compression="zstd",
        use_dictionary=False,
        data_page_size=2000,
        write_batch_size=50,
    )
    sizes: list[int] = []
    whole: Callable[..., NDArray[Any]] = ColumnChunk._values

    def counted(self: ColumnChunk, body: memoryview, size: int, count: int) -> NDArray[Any]:
        sizes.append(count)
        return whole(self, body, size, count)

    monkeypatch.setattr(ColumnChunk, "_values", counted)
    read(tmp_path / "x", [500])
    assert sum(sizes) < ROWS * DIM / 4


def test_a_null_in_a_vector_is_not_plain(tmp_path: Path) -> None:
    holes = pa.array([[1.0, None], [2.0, 3.0]], pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"embedding": holes}), tmp_path / "x", use_dictionary=False)
    chunk = ColumnChunk.of(pq.read_metadata(tmp_path / "x"), row_group=0, column=0, dtype=np.dtype("float32"))
    data = (tmp_path / "x").read_bytes()[chunk.offset :][: chunk.length]
    with pytest.raises(NotPlain):
        chunk.read_into(np.empty((2, 2), np.float32), memoryview(data), rows=np.arange(2))


def test_a_part_that_changed_or_is_cut_is_a_store_error(tmp_path: Path) -> None:
    pq.write_table(table().slice(0, 10), tmp_path / "x")
    with pytest.raises(StoreError, match="rewritten"):
        read(tmp_path / "x", [1])
    (tmp_path / "y").write_bytes((tmp_path / "x").read_bytes()[:-30])
    with pytest.raises(StoreError, match="cannot read"):
        read(tmp_path / "y", [1])
    with pytest.raises(StoreError, match="cannot read"):
        read(tmp_path / "nowhere", [1])

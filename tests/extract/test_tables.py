from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from extract.expert import Column, Embedding, TableSpec
from extract.tables import embedding_matrix, is_time, table_schema, timed_rows, to_batch

SPEC = TableSpec(
    (Column("text", "string", "what was read"), Column("box", "list<float32>", "corners")), Embedding((2, 3))
)


def row(vector: np.ndarray, text: str | None = "a") -> dict[str, object]:
    return {
        "start_seconds": 0.5,
        "end_seconds": 1.0,
        "text": text,
        "box": [1.0, 2.0],
        "embedding": vector,
    }


def test_schema_of_a_table() -> None:
    assert [(field.name, str(field.type)) for field in table_schema(SPEC)] == [
        ("video_id", "string"),
        ("row", "int32"),
        ("start_seconds", "double"),
        ("end_seconds", "double"),
        ("text", "string"),
        ("box", "list<item: float>"),
        ("embedding", "fixed_size_list<item: halffloat>[6]"),
    ]
    wide = TableSpec(embedding=Embedding((4,), float32=True))
    assert table_schema(wide, dtype="float16").field("embedding").type == pa.list_(pa.float32(), 4)
    assert "embedding" not in table_schema(TableSpec()).names


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_vectors_flatten_in_c_order_and_round_once(dtype: str) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 2, 3)).astype(np.float32)
    given = [row(vectors[0]), row(vectors[1].reshape(-1), None), row(vectors[2])]
    batch = to_batch(given, spec=SPEC, video_id="v", first_row=7, dtype=dtype)  # type: ignore[arg-type]
    assert batch.schema == table_schema(SPEC, dtype=dtype)  # type: ignore[arg-type]
    batch.validate(full=True)
    np.testing.assert_array_equal(
        embedding_matrix(batch["embedding"]), vectors.reshape(3, 6).astype(np.dtype(dtype))
    )
    assert batch["row"].to_pylist() == [7, 8, 9]
    assert batch["text"].to_pylist() == ["a", None, "a"]


def test_matrix_of_a_slice_is_that_of_its_rows() -> None:
    vectors = np.arange(24, dtype=np.float32).reshape(4, 6)
    batch = to_batch([row(vector) for vector in vectors], spec=SPEC, video_id="v")
    np.testing.assert_array_equal(embedding_matrix(batch.slice(1, 2)["embedding"]), vectors[1:3])
    table = pa.Table.from_batches([batch.slice(3), batch.slice(0, 1)])
    np.testing.assert_array_equal(embedding_matrix(table["embedding"]), vectors[[3, 0]])


def test_no_rows_make_an_empty_batch() -> None:
    assert to_batch([], spec=SPEC, video_id="v").num_rows == 0


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.zeros(5), "has 6 values"),
        (np.array([0, 0, np.nan, 0, 0, 0]), "not finite"),
        (np.full(6, 70000.0), "--dtype float32"),
    ],
)
def test_vectors_that_cannot_be_stored_are_refused(vector: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_batch([row(vector)], spec=SPEC, video_id="v")


def test_rows_of_another_table_are_refused() -> None:
    with pytest.raises(ValueError, match="got"):
        to_batch([{"start_seconds": 0.0, "end_seconds": 1.0}], spec=SPEC, video_id="v")
    with pytest.raises(ValueError, match="score"):
        to_batch([{**row(np.zeros(6)), "score": 1.0}], spec=SPEC, video_id="v")


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32()])
def test_a_vector_that_is_null_is_nan(kind: pa.DataType) -> None:
    column = pa.array([None, [1.0, 2.0], None, [3.0, 4.0]], pa.list_(kind, 2))
    found = embedding_matrix(column.slice(1))
    np.testing.assert_array_equal(found, [[1, 2], [np.nan, np.nan], [3, 4]])
    assert found.dtype == kind.to_pandas_dtype()


@pytest.mark.parametrize("odd", [None, np.nan, np.inf, -np.inf, 1e11])
def test_rows_that_lie_nowhere_in_time_are_told(odd: float | None) -> None:
    rows = pa.table({"start_seconds": [0.0, odd, 0.0, 2.0, 3.0], "end_seconds": [1.0, 1.0, odd, 1.0, 3.0]})
    assert timed_rows(rows).to_pydict() == {"start_seconds": [0.0, 3.0], "end_seconds": [1.0, 3.0]}
    assert is_time(1e9) and not (odd is not None and is_time(odd))

"""Plain files for every video and table: CSV of columns, NumPy arrays of vectors.

The arrays have the names that https://github.com/v-iashin/video_features gives them, in a folder of each
feature: ``{video}_{feature}.npy``, ``{video}_timestamps_ms.npy`` and ``{video}_fps.npy``. What reads
those reads these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from extract.tables import embedding_matrix
from pipeline.export.chosen import each
from pipeline.export.folder import ExportFolder
from pipeline.report.video_tables import VideoTables
from pipeline.storage.csv_cells import cell_of, escaped
from pipeline.storage.names import relative_file


def _write_csv(video: VideoTables, folder: ExportFolder) -> None:
    """Everything but pictures; lists are JSON. Texts and names come from anywhere: all are escaped."""
    for name, table in video.tables.items():
        kept = [field.name for field in table.schema if not pa.types.is_binary(field.type)]
        columns = {escaped(column): _cells(table[column]) for column in kept}
        with folder.write(f"{name}/{relative_file(video.video_id)}_{name}.csv") as path:
            pa.csv.write_csv(pa.table(columns), path)


def _cells(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Numbers as they are; an absent text is an empty cell, an empty one has quotation marks."""
    if not (pa.types.is_list(column.type) or pa.types.is_string(column.type)):
        return column
    return pa.array([None if cell is None else cell_of(cell) for cell in column.to_pylist()], pa.string())


def _write_numpy(video: VideoTables, folder: ExportFolder) -> None:
    """Vectors, float32 (rows, ...); starts in milliseconds, float64 (rows,); frames a second, float64 ()."""
    for name, shape in video.shapes.items():
        if name not in video.tables:
            continue
        table = video.tables[name]
        arrays = {
            name: embedding_matrix(table["embedding"]).astype(np.float32).reshape(len(table), *shape),
            "timestamps_ms": table["start_seconds"].to_numpy() * 1000,
            "fps": np.array(video.facts.get("fps") or np.nan),
        }
        for key, array in arrays.items():
            _save(array, folder, f"{name}/{relative_file(video.video_id)}_{key}.npy")


def _save(array: np.ndarray[Any, Any], folder: ExportFolder, name: str) -> None:
    with folder.write(name) as path, path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


write_csv = each(_write_csv)
write_numpy = each(_write_numpy, vectors=True)

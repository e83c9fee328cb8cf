"""WebDataset shards: tar files with one sample for every video, written by the webdataset library.

A sample has ``json`` (what is known of the file, the state of every table), and of each table with rows
``TABLE.json`` (columns) and, where it has vectors, ``TABLE.npz`` (``embedding``, ``start_seconds``,
``end_seconds``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, count
from typing import Any

import numpy as np
import pyarrow as pa

from extract.tables import embedding_matrix
from pipeline.export.chosen import ChosenVideos
from pipeline.export.folder import ExportFolder
from pipeline.report.video_tables import VideoTables
from pipeline.storage.names import relative_file

SHARD_BYTES = 256 << 20  # a shard ends with the sample that reaches this


def write_webdataset(chosen: ChosenVideos, folder: ExportFolder) -> None:
    from webdataset import TarWriter

    samples = map(_sample, chosen.videos(vectors=True))
    for number in count():
        first = next(samples, None)
        if first is None:
            break
        with (
            folder.write(f"shard-{number:06d}.tar") as path,
            path.open("wb") as file,
            # The default format of tar has no long names; a fixed time makes equal stores equal shards.
            TarWriter(file, format="PAX_FORMAT", mtime=0) as tar,
        ):
            size = 0
            for sample in chain([first], samples):
                size += tar.write(sample)
                if size >= SHARD_BYTES:
                    break
    folder.remove_others(".tar")


def _sample(video: VideoTables) -> dict[str, Any]:
    states = {table: state.state for table, state in video.states.items()}
    sample: dict[str, Any] = {
        "__key__": relative_file(video.video_id, dots=False),  # a key ends at the first dot
        "json": _finite({**video.facts, "states": states}),
    }
    for name, table in video.tables.items():
        sample[f"{name}.json"] = _finite(dict(_columns(table)))
        if name in video.shapes:
            vectors = embedding_matrix(table["embedding"]).reshape(len(table), *video.shapes[name])
            times = {key: table[key].to_numpy() for key in ("start_seconds", "end_seconds")}
            sample[f"{name}.npz"] = {"embedding": np.asarray(vectors), **times}
    return sample


def _columns(table: pa.Table) -> Iterator[tuple[str, list[Any]]]:
    for field in table.schema:
        if field.name not in ("video_id", "embedding") and not pa.types.is_binary(field.type):
            yield field.name, table[field.name].to_pylist()


def _finite(value: Any) -> Any:
    """JSON has neither NaN nor infinity: null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""A folder that ``datasets.load_dataset`` reads: Parquet files of every table, and a card that lists them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from extract.errors import count
from pipeline.about.cite import cite
from pipeline.about.describe import TableFacts, describe
from pipeline.export.chosen import ChosenVideos
from pipeline.export.folder import ExportFolder
from pipeline.storage.location import Location
from pipeline.storage.parquet import open_parquet, read_metadata
from pipeline.storage.versions import marquee_version
from pipeline.store.coverage import COVERAGE_SCHEMA, shard_outcomes
from pipeline.store.reading import current_parts, read, read_from, valid_parts
from pipeline.store.videos import members_of, read_shards

_CARD = """\
# Features of {videos}

Extracted by Marquee {version}. Every table is a configuration with the split `train`:

```python
from datasets import load_dataset

table = load_dataset("PATH OR NAME OF THIS DATASET", "{example}", split="train")
```

Rows have `video_id`, `row`, `start_seconds` and `end_seconds`: a half-open interval on the video's own clock.
`videos` has a row for each input; `coverage` says for each video and expert whether it is ok, absent (nothing
there) or failed.
"""


def write_huggingface(chosen: ChosenVideos, folder: ExportFolder) -> None:
    """The files of a table are those of the store, so that memory stays bounded; the card is written last."""
    store, ids = chosen.store, chosen.video_ids
    videos = read(store, "videos", video_ids=ids)
    _write(folder, "videos/train-00000.parquet", videos.schema, videos.to_batches())
    _write(folder, "coverage/train-00000.parquet", COVERAGE_SCHEMA, _coverage(chosen))
    written = {"videos", "coverage"} | {
        table for target in store.targets() for table in target.tables if _write_table(chosen, folder, table)
    }
    with folder.write("README.md") as path:
        facts = [table for table in describe(store) if table.name in written]
        path.write_text("\n".join(_card(chosen, facts, len(videos))) + "\n", "utf-8")
    folder.remove_others(".parquet")
    chosen.progress(len(videos))


def _coverage(chosen: ChosenVideos) -> Iterator[pa.RecordBatch]:
    store, ids = chosen.store, chosen.video_ids
    for shard in read_shards(store):
        found = shard_outcomes(store, shard, store.targets())
        rows = [one.coverage_row for one in found if ids is None or one.video_id in ids]
        named = [dict(zip(COVERAGE_SCHEMA.names, row, strict=True)) for row in rows]
        yield pa.RecordBatch.from_pylist(named, COVERAGE_SCHEMA)


def _write_table(chosen: ChosenVideos, folder: ExportFolder, table: str) -> bool:
    """Whether there were rows."""
    before, store = folder.files, chosen.store
    for part, footer in valid_parts(store, current_parts(store, table), members_of(store)):
        has = {name for name, state in footer.videos.items() if state.rows}
        wanted = has if chosen.video_ids is None else has & chosen.video_ids
        if wanted:
            schema = read_metadata(part.path).schema.to_arrow_schema()
            _write(folder, f"{table}/train-{part.shard:05d}.parquet", schema, _rows(part.path, wanted))
    return folder.files > before


def _rows(path: Location, video_ids: Collection[str]) -> Iterator[pa.RecordBatch]:
    with read_from(path), open_parquet(path) as file:
        for batch in file.iter_batches():
            yield _only(batch, video_ids)


def _only(batch: pa.RecordBatch, video_ids: Iterable[str]) -> pa.RecordBatch:
    return batch.filter(pc.is_in(batch["video_id"], pa.array(sorted(video_ids), pa.string())))


def _write(folder: ExportFolder, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    plain = schema.remove_metadata()  # what a part says of itself is true of the whole part alone
    with folder.write(name) as path, pq.ParquetWriter(path, plain, compression="zstd") as file:
        for batch in batches:
            if len(batch):
                file.write_batch(batch.replace_schema_metadata(None))


def _card(chosen: ChosenVideos, tables: Iterable[TableFacts], videos: int) -> Iterator[str]:
    tables, known = list(tables), cite(chosen.store)
    yield from ("---", "pretty_name: Features of videos", "tags:", "- video", "- marquee", "configs:")
    for table in tables:
        yield f"- config_name: {table.name}\n  data_files:"
        yield f"  - split: train\n    path: {table.name}/*.parquet"
        if table.name == "videos":
            yield "  default: true"
    yield "---\n"
    example = next((table.name for table in tables if table.source), "videos")
    yield _CARD.format(videos=count(videos, "video"), version=marquee_version(), example=example)
    for table in tables:
        yield f"## {table.name}\n\n{table.meaning}{f' ({table.source})' if table.source else ''}\n"
        yield "| column | type | unit | meaning |\n|---|---|---|---|"
        for column in table.columns:
            shape = f" {'×'.join(map(str, column.shape))}" if column.shape else ""
            cells = (f"`{column.name}`", f"{column.type}{shape}", column.unit, column.meaning)
            yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
        yield ""
    yield "## Licences of the weights\n"
    yield from (f"- {one.expert}: {one.file}, {one.licence}" for one in known.licences)
    yield "\n## Citation\n\n```bibtex"
    yield "\n\n".join(known.entries.values())
    yield "```"

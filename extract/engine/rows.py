"""Rows of one video and table on their way to the store: in order, and never all in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from extract.declarations import TableSpec
from extract.options import Dtype
from extract.tables import table_schema, to_batch
from extract.types import Row

if TYPE_CHECKING:
    import pyarrow as pa

SPILL_BYTES = 1 << 20
SEAL_BYTES = 256 << 10


class RowBuffer:
    """Takes rows in order, numbers them, and spills to an Arrow file in ``folder`` as they add up."""

    def __init__(self, spec: TableSpec, *, video_id: str, dtype: Dtype, folder: Path) -> None:
        self.rows = 0
        self.schema = table_schema(spec, dtype=dtype)
        self._spec, self._video_id, self._dtype, self._folder = spec, video_id, dtype, folder
        self._waiting: list[Row] = []
        self._last: pa.RecordBatch | None = None
        self._file: Path | None = None
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        dimensions = 1
        for length in spec.embedding.shape if spec.embedding else ():
            dimensions *= length
        self._row_bytes = 4 * dimensions + 1000  # a row is a dict until it is a part of a batch

    def extend(self, rows: Sequence[Row]) -> None:
        self._waiting.extend(rows)
        self.rows += len(rows)
        if len(self._waiting) * self._row_bytes > SPILL_BYTES:
            self._spill()

    def seal(self) -> None:
        """All rows are in: check the last ones, and leave little in memory until they are written.

        Raises ValueError for rows that do not fit the table, as :meth:`extend` may.
        """
        if len(self._waiting) * self._row_bytes > SEAL_BYTES:
            self._spill()
        elif self._waiting:
            self._last = self._batch()
            self._waiting.clear()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows so far, in order; the buffer is read-only afterwards."""
        import pyarrow as pa

        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._file is not None:
            with pa.OSFile(str(self._file)) as source, pa.ipc.open_stream(source) as reader:
                yield from reader
        if self._last is not None:
            yield self._last
        if self._waiting:
            yield self._batch()

    def table(self) -> pa.Table:
        import pyarrow as pa

        return pa.Table.from_batches(self.batches(), self.schema)

    def discard(self) -> None:
        """Forget the rows and remove the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            self._file = None
        self._waiting.clear()
        self._last = None
        self.rows = 0

    def _batch(self) -> pa.RecordBatch:
        return to_batch(
            self._waiting,
            spec=self._spec,
            video_id=self._video_id,
            first_row=self.rows - len(self._waiting),
            dtype=self._dtype,
        )

    def _spill(self) -> None:
        import pyarrow as pa

        if self._writer is None:
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".arrows", delete=False) as file:
                self._file = Path(file.name)
            self._writer = pa.ipc.new_stream(str(self._file), self.schema)
        self._writer.write_batch(self._batch())
        self._waiting.clear()

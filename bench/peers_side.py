"""One side of ``python -m bench.peers``, in a process of its own: its imports and networks are its start-up.

Standard input holds a :class:`Side` as JSON; standard output gets its :class:`Times` as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.replay import Cost
from extract.declarations import Model
from extract.engine.models import Models, models_as_they_load
from extract.selection import Selection, select
from extract.types import Item, Row
from pipeline.work.config import RunConfig, usable_cores
from pipeline.work.run import run_config


@dataclass(frozen=True)
class Side:
    """What to run. ``way``: ``ours``, or the preset whose authors' way it is; ``began``: a monotonic time."""

    way: str
    videos: str
    out: str
    experts: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]]
    random_seed: int
    began: float


@dataclass(frozen=True)
class Times:
    """Seconds since the process began, and its processor seconds, of its ended children too.

    ``loaded``: all networks are; ``first_batch``: the first one begins to compute.
    """

    loaded: float
    first_batch: float
    ended: float
    cpu_seconds: float


class _Notes:
    """Loads models that note when all are there and when the first of them is called."""

    def __init__(self) -> None:
        self.loaded: Cost | None = None
        self.first_batch: float | None = None

    def load(self, selection: Selection, *, batch_size: int) -> Iterator[Models]:
        computing = [name for name, expert in selection.experts.items() if expert.lane != "none"]
        for models in models_as_they_load(selection, batch_size=batch_size):
            if models.all_there:
                self.loaded = Cost.now()
            there = [name for name in computing if name in models.by_expert]
            noting = {name: self._noting(models.by_expert[name]) for name in there}
            yield replace(models, by_expert={**models.by_expert, **noting})

    def _noting(self, model: Model) -> Model:
        def compute(items: Sequence[Item], /) -> list[list[Row]]:
            if self.first_batch is None:
                self.first_batch = time.monotonic()
            return model(items)

        return compute

    def times(self, began: float) -> Times:
        end = Cost.now()
        if self.loaded is None or self.first_batch is None:
            raise RuntimeError("no network has computed anything; choose experts that have one")
        return Times(
            self.loaded.seconds - began,
            self.first_batch - began,
            end.seconds - began,
            end.cpu_seconds,
        )


def main() -> None:
    json.dump(asdict(run(Side(**json.load(sys.stdin)))), sys.stdout)


def run(side: Side) -> Times:
    """What a process of its own does."""
    config = RunConfig(
        videos=Path(side.videos),
        out=Path(side.out),
        experts=tuple(side.experts),
        options=side.options,
        random_seed=side.random_seed,
        device="cpu",
        dtype="float32",
    )
    notes = _Notes()
    if side.way == "ours":
        with patch("extract.engine.engine.models_as_they_load", notes.load):
            run_config(config)
    else:
        _theirs(config, side.way, notes)
    return notes.times(side.began)


def _theirs(config: RunConfig, way: str, notes: _Notes) -> None:
    import pyarrow.parquet as pq

    from bench.peers_passes import BATCH, Peer

    assert isinstance(config.videos, Path) and isinstance(config.out, Path)
    selection = select(config)
    *_, models = notes.load(selection, batch_size=BATCH)
    peer = Peer(selection, models, config.out / "files", usable_cores())
    for ledger in peer.extract(way, sorted(config.videos.iterdir())):
        for tables in ledger.buffers.values():
            for name, buffer in tables.items():
                folder = config.out / "tables" / name
                folder.mkdir(parents=True, exist_ok=True)
                pq.write_table(buffer.table(), folder / f"{ledger.task.video_id}.parquet")


if __name__ == "__main__":
    main()

"""Batches of some videos of a store, in an order that can be repeated and resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from extract.errors import count
from train.errors import DataError
from train.loading.batch import Batch
from train.loading.collate import Change
from train.loading.features import FeatureSet
from train.loading.order import Order, cut, evaluation_order, share, training_order
from train.loading.readahead import ReadAhead, Samples
from train.loading.readahead import Stream as Stream
from train.loading.steps import Steps as Steps


class Loader:
    """Batches of some videos of a store; may be iterated again and again.

    In training (``shuffle``) the order is another one in every epoch (:meth:`set_epoch`), else that of the
    ids. It depends on the seed, the epoch and the videos alone. :meth:`state_dict` says where the loader
    is; one that loads it continues with the next batch, without reading what was before.
    """

    def __init__(
        self,
        features: FeatureSet,
        ids: Sequence[str],
        *,
        stream: Stream | None = None,
        labels: NDArray[Any] | None = None,
        shuffle: bool = False,
    ) -> None:
        """``labels`` (videos, genres) go with ``ids``. Raises DataError for ids without features."""
        self.stream, self.shuffle = stream or Stream(), shuffle
        place = {name: i for i, name in enumerate(features.ids)}
        unknown = [name for name in ids if name not in place]
        if unknown:
            raise DataError(
                f"{count(len(unknown), 'video has', 'videos have')} no features, e.g. "
                f"{unknown[0]!r}: leave them out or extract them"
            )
        if len(set(ids)) != len(ids):
            raise ValueError("videos must come once")
        order = sorted(range(len(ids)), key=lambda i: ids[i])
        self.samples = Samples(
            features,
            ids=tuple(ids[i] for i in order),
            places=np.array([place[ids[i]] for i in order], np.int64),
            labels=None if labels is None else torch.from_numpy(np.asarray(labels, np.float32)[order]),
        )
        self._epoch = self._begin = self._given = 0

    @property
    def ids(self) -> tuple[str, ...]:
        """The videos, sorted; their order without ``shuffle``."""
        return self.samples.ids

    def __len__(self) -> int:
        """Batches in an epoch, of this process."""
        total, stream = len(self.ids), self.stream
        each = -(-total // stream.ranks)
        mine = min(each, total) if self.shuffle else max(0, min(each, total - stream.rank * each))
        return -(-mine // stream.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Epochs count from 0; another epoch begins at its first batch."""
        if epoch != self._epoch:
            self._epoch, self._begin, self._given = epoch, 0, 0

    def state_dict(self) -> dict[str, Any]:
        """The epoch, and how many of its batches were given out."""
        return {"epoch": self._epoch, "batch": self._given, "samples": self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the batch that this state was taken at. Raises DataError for other samples."""
        if state["samples"] != self._identity():
            raise DataError(
                "the checkpoint was written with other videos, features, seed, batch size, steps or buffer: "
                "resume with the same options, labels and features, or start a new run"
            )
        self._epoch = state["epoch"]
        self._begin = self._given = state["batch"]

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def batches(self, change: Change | None = None) -> Iterator[Batch]:
        """The batches of this epoch; threads that pad call ``change`` with an expert's steps of a video."""
        begin, self._begin = self._begin, 0
        self._given = begin
        blocks = cut(self._order(), begin * self.stream.batch_size, len(self.ids))
        reading = ReadAhead(self.samples, self.stream, blocks, epoch=self._epoch, change=change)
        for batch in reading.batches():
            self._given += 1
            yield batch

    def _order(self) -> list[Order]:
        """This process's samples of this epoch, in blocks of half the buffer: one in use, one being read."""
        stream, samples = self.stream, self.samples
        sizes = samples.sizes(stream.steps)
        block_bytes = stream.buffer_bytes // 2
        if self.shuffle:
            shards = samples.features.shards[samples.places]
            blocks = training_order(
                shards, sizes, block_bytes=block_bytes, seed=stream.seed, epoch=self._epoch
            )
        else:
            blocks = evaluation_order(sizes, block_bytes=block_bytes)
        return share(blocks, rank=stream.rank, ranks=stream.ranks, even=self.shuffle)

    def _identity(self) -> str:
        """A hash of all that the order and the steps depend on."""
        stream, features = self.stream, self.samples.features
        facts = [self.ids, self.shuffle, stream.seed, stream.batch_size, stream.buffer_bytes, stream.ranks]
        facts += [sorted((name, str(steps)) for name, steps in stream.steps.items())]
        facts += [sorted(features.fingerprints.items())]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

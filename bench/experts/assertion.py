"""An expert whose model breaks the process's CUDA context on files of one name: a device-side assertion."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np

from extract.expert import Column, Expert, Item, MediaInfo, Model, Resources, Row, Streams, TableSpec, Tap

FATAL = "fatal"  # a file whose name begins so


class _OneItem(Tap):
    def __init__(self, path: str) -> None:
        self._fatal = os.path.basename(path).startswith(FATAL)

    def close(self) -> Iterable[Item]:
        return [Item(0.0, 1.0, {"place": np.array([self._fatal], np.int64)})]


class Assertion(Expert):
    """One row for each video with sound, or the end of the process that computes it."""

    summary = "a device-side assertion on some files"
    upstream = ()

    def tables(self) -> dict[str, TableSpec]:
        return {self.name: TableSpec((Column("number", "int32", "always 0"),))}

    def streams(self) -> Streams:
        return Streams(audio_rate=8000)

    def tap(self, media: MediaInfo) -> Tap:
        return _OneItem(media.path)

    def load(self, resources: Resources) -> Model:
        import torch

        one = torch.zeros(1, dtype=torch.int64, device=resources.device)

        def compute(items: Sequence[Item], /) -> list[list[Row]]:
            places = torch.from_numpy(np.stack([item.arrays["place"] for item in items]))
            numbers = one[places.to(one.device)]  # place 1 is behind the end
            return [[item.row(number=int(number))] for item, number in zip(items, numbers, strict=True)]

        return compute

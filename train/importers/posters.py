"""Posters of movies as vectors, read a few ahead of the rows that ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.errors import MediaError
from extract.experts.vgg16 import Posters

AHEAD = 32  # posters that the network sees together


def vgg16(**options: Any) -> Posters:
    """The extractor's network; ``options`` are those of its class."""
    return Posters(**options)


class PosterVectors:
    """``paths``: video_id -> file, in the order in which the videos will be asked for."""

    def __init__(self, posters: Posters, paths: Mapping[str, Path]) -> None:
        self._posters, self._paths = posters, paths
        self._order = list(paths)
        self._place = {video_id: i for i, video_id in enumerate(self._order)}
        self._ready: dict[str, NDArray[np.float32] | MediaError] = {}
        self.failed: list[str] = []  # in a line each, why

    def __call__(self, video_id: str) -> NDArray[np.float32] | None:
        """(1, 4096), or None without a poster. Raises MediaError for a file that is not a picture."""
        if video_id not in self._paths:
            return None
        if video_id not in self._ready:
            self._ready = self._read(self._place[video_id])
        found = self._ready.pop(video_id)
        if isinstance(found, MediaError):
            self.failed.append(f"{video_id!r}: {found}")
            raise found
        return found[None]

    def _read(self, first: int) -> dict[str, NDArray[np.float32] | MediaError]:
        found: dict[str, NDArray[np.float32] | MediaError] = {}
        crops = {}
        for video_id in self._order[first : first + AHEAD]:
            try:
                crops[video_id] = self._posters.crop(self._paths[video_id])
            except MediaError as error:
                found[video_id] = error
        vectors = self._posters.vectors(list(crops.values()))
        return found | dict(zip(crops, vectors, strict=True))

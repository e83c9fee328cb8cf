"""What waits to be computed: items for the models, windows for the shot network, tables to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from extract.decoder.messages import WindowAnswer
from extract.engine.ledger import VideoLedger
from extract.types import Item

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class QueuedItem:
    """One item of one video, with its place among that video's items for this expert.

    ``found``: by the first step of a model that has two.
    """

    video: VideoLedger
    number: int
    item: Item
    found: Any = None


@dataclass(frozen=True)
class WindowRequest:
    """Thumbnails for the shot network, where its answer goes, and whether that is still waited for."""

    thumbnails: NDArray[np.uint8]
    answer: Callable[[WindowAnswer], None]
    wanted: Callable[[], bool]


@dataclass(frozen=True)
class TableRequest:
    """One video's tables that a text expert reads, to be made into its items."""

    video: VideoLedger
    expert: str
    tables: Mapping[str, pa.Table]

"""The shot detector as the engine sees it: an expert whose detector serves all others of the pass."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Expert, Lane, Resources
from extract.detectors.base import Detector, Predictor
from extract.types import MediaInfo, Scene

if TYPE_CHECKING:
    import pyarrow as pa

# uint8 (n, 100, 27, 48, 3) to float32 (n, 50)
Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class ShotService(Expert):
    """Finds the shots in the decoding pass, for every expert that names it upstream, and tables them.

    Its own tap sees the scenes that its detector found; other experts' taps see the same ones.
    """

    lane: ClassVar[Lane] = "none"
    detects_shots = True

    @abstractmethod
    def make_detector(self, media: MediaInfo, predictor: Predictor | None) -> Detector:
        """A fresh detector for one video; ``predictor`` is needed where :meth:`predictor` gives one."""

    @abstractmethod
    def predictor(self, resources: Resources) -> Predict | None:
        """The detector's network, or None without one."""

    @abstractmethod
    def stored_scenes(self, tables: Mapping[str, pa.Table]) -> tuple[Scene, ...]:
        """The scenes of one video, exactly, from this expert's tables of it."""

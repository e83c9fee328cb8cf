"""Every expert's rows on the device, in each precision, against those of the CPU in float32."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.gpu.measuring import Gauge, Measurement
from bench.gpu.shown import load, make, many, resources, shown
from extract.expert import Expert, Model, Precision
from extract.experts.face_emotion import DIMENSION, FaceEmotionModel
from extract.experts.faces import FacesModel
from extract.experts.whisper import Transcriber
from extract.ops.network.device import free_device_memory
from extract.ops.picture.mtcnn import Mtcnn
from extract.ops.sound.speech_chunks import Chunk
from extract.types import Item

Vectors = NDArray[np.float64]  # (rows, values)
SEEN = 200  # rows and columns of a frame


def values(gauge: Gauge) -> None:
    """Cosine and differences; and whether a row is the same alone, in a batch, and when it is made again."""
    found = shown(gauge)
    for name in gauge.sizes.experts:
        comparison = _Comparison(gauge, make(name), many(found[name], gauge.sizes.compared_items))
        what = {"expert": name, "precision": "float32", "on": "CPU"}
        gauge.measure(what, comparison.take_reference)
        for precision in gauge.sizes.compared:
            if comparison.reference is None or not depends_on(precision, comparison.expert):
                continue
            what = {"expert": name, "precision": precision, "on": gauge.device}
            gauge.measure(what, partial(comparison.compare, precision))
            free_device_memory()


def depends_on(precision: Precision, expert: Expert) -> bool:
    """Whether the expert is computed in it; some always are in float32."""
    return precision == "float32" or expert.tolerance is not None


class _Comparison:
    def __init__(self, gauge: Gauge, expert: Expert, items: Sequence[Item]) -> None:
        self.expert = expert
        self.reference: Vectors | None = None
        self._gauge, self._items = gauge, items

    def take_reference(self) -> Measurement:
        self.reference = vectors(self._load("cpu", "float32"), self._items)
        return {"rows": len(self.reference)}

    def compare(self, precision: Precision) -> Measurement:
        """Against the reference; all differences are the largest of a single value."""
        reference = self.reference
        assert reference is not None
        model = self._load(self._gauge.device, precision)
        batch, again = (vectors(model, self._items) for _ in range(2))
        alone = vectors(model, self._items[:1])
        length = np.linalg.norm(reference, axis=1)
        cosines = (batch * reference).sum(axis=1) / (np.linalg.norm(batch, axis=1) * length)
        errors = np.linalg.norm(batch - reference, axis=1) / length
        tolerance = self.expert.tolerance
        return {
            "rows": len(batch),
            "least cosine": float(cosines.min()),
            "relative error": float(errors.max()),
            "documented": None if precision == "float32" or not tolerance else getattr(tolerance, precision),
            "difference": _difference(batch, reference),
            "alone": _difference(alone, batch[: len(alone)]),
            "again": _difference(again, batch),
        }

    def _load(self, device: str, precision: Precision) -> Model:
        with_what = resources(self._gauge, precision, len(self._items), device=device)
        return load(self.expert, with_what)


def vectors(model: Model, items: Sequence[Item]) -> Vectors:
    """The embeddings. Words and faces are decisions: of these what the networks hear and see."""
    images = [item.arrays["image"][:SEEN, :SEEN] for item in items if "image" in item.arrays]
    if isinstance(model, FacesModel) and isinstance(model.finder.detector, Mtcnn):
        maps = model.finder.detector.maps(images)
        return np.concatenate([each.reshape(len(images), -1) for each in maps], axis=1).astype(np.float64)
    if isinstance(model, FaceEmotionModel):
        return model.expressions(images)[:, :DIMENSION].astype(np.float64)
    if isinstance(model, Transcriber):
        heard = model.encode([_first_chunk(item) for item in items])
        return np.stack([features.float().cpu().numpy().ravel() for features in heard]).astype(np.float64)
    return np.stack([row["embedding"] for rows in model(items) for row in rows]).astype(np.float64)


def _first_chunk(item: Item) -> Chunk:
    arrays = item.arrays
    return Chunk(arrays["samples"][: arrays["lengths"][0]], float(arrays["starts"][0]))


def _difference(mine: Vectors, other: Vectors) -> float:
    return float(np.abs(mine - other).max())

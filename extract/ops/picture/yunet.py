"""YuNet, OpenCV's face detector (Wu, Peng and Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector")."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from extract.errors import WeightsError
from extract.ops.picture.faces import Faces, Image, faces_of

OVERLAP = 0.3  # share of the union above which the less certain of two boxes goes; the published demo's
MOST_CANDIDATES = 5000


class YuNet:
    """Frames uint8 (height, width, 3) RGB to the faces of each, one by one, on the CPU.

    Raises WeightsError if OpenCV cannot read the file.
    """

    def __init__(self, path: Path, *, least_pixels: int, min_score: float) -> None:
        import cv2

        self._least_pixels = least_pixels
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(path), "", (320, 320), min_score, OVERLAP, MOST_CANDIDATES
            )
        except cv2.error as error:
            raise WeightsError(f"{path} is not YuNet as OpenCV reads it: {error}") from error

    def __call__(self, images: Sequence[Image]) -> list[Faces]:
        return [self._faces(image) for image in images]

    def _faces(self, image: Image) -> Faces:
        self._detector.setInputSize((image.shape[1], image.shape[0]))
        _, rows = self._detector.detect(np.ascontiguousarray(image[:, :, ::-1]))
        found = np.empty((0, 15), np.float32) if rows is None else rows
        found = found[found[:, 2:4].min(axis=1, initial=np.inf) >= self._least_pixels]
        boxes = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:4]], axis=1)
        return faces_of(boxes, found[:, 14], found[:, 4:14].reshape(-1, 5, 2))

"""Faces of a frame, and what their size says of the shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

# How much of a standing person the frame shows, in heads from the crown down, where each scale ends. The
# scales and where they cut the body are those of Salt, "Film Style and Technology: History and Analysis"
# (1983): head alone, head and shoulders, from the waist up, from below the waist, from the knee up, the full
# height; where these lie is the canon of artists, a figure of 7.5 heads (Loomis, "Figure Drawing for All It's
# Worth", 1943): shoulders within 2, waist 3, hips 4, knees 5.5. A long shot leaves room around the body: up
# to 9.
SHOT_SCALES = (
    ("big close-up", 1.25),
    ("close-up", 2.0),
    ("medium close-up", 3.0),
    ("medium shot", 4.0),
    ("medium long shot", 5.5),
    ("long shot", 9.0),
)
FARTHEST = "very long shot"
FACE_OF_HEAD = 0.8  # of the head's height, from the hairline to the chin, which is what detectors are taught


@dataclass(frozen=True)
class Faces:
    """The faces of a frame, the largest box first.

    ``boxes`` float32 (faces, 4): left, top, right, bottom in pixels of the frame, beyond its edges too;
    ``scores`` float32 (faces,) from 0 to 1; ``landmarks`` float32 (faces, 5, 2): x and y in pixels of the two
    eyes, the nose and the two corners of the mouth, of each pair the one on the left of the picture first.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.boxes)
        shapes = self.boxes.shape, self.scores.shape, self.landmarks.shape
        if shapes != ((count, 4), (count,), (count, 5, 2)):
            raise ValueError(f"boxes, scores and landmarks of {count} faces have the shapes {shapes}")

    def __len__(self) -> int:
        return len(self.boxes)

    def enlarged(self, factor: float) -> Faces:
        """The same on a frame of ``factor`` times the size."""
        scale = np.float32(factor)
        return Faces(self.boxes * scale, self.scores, self.landmarks * scale)

    def crops(self, image: Image, most: int) -> list[Image]:
        """What the ``most`` largest boxes show, (height, width, 3), to whole pixels; none of an empty box."""
        height, width = image.shape[:2]
        corners = self.boxes[:most].round().astype(np.int64)
        corners = corners.clip(0, [width, height, width, height])
        return [
            image[top:bottom, left:right]
            for left, top, right, bottom in corners.tolist()
            if top < bottom and left < right
        ]


class FaceDetector(Protocol):
    """Finds the faces of frames (height, width, 3), RGB, of any sizes; what one has depends on it alone."""

    def __call__(self, images: Sequence[Image], /) -> list[Faces]: ...


def faces_of(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], landmarks: NDArray[np.floating]
) -> Faces:
    """Faces in any order as :class:`Faces`."""
    order = np.argsort(-(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), kind="stable")
    return Faces(*(each[order].astype(np.float32) for each in (boxes, scores, landmarks)))


def shot_scale(face_height: float, frame_height: float) -> str:
    """The scale of a shot by its largest face; both heights in pixels.

    A frame shows ``FACE_OF_HEAD * frame_height / face_height`` heads of the person, and the scale is the
    first of SHOT_SCALES that reaches so far: a face of at least 64 % of the frame's height is a big close-up,
    40 % a close-up, 27 % a medium close-up, 20 % a medium shot, 15 % a medium long shot, 9 % a long shot.
    """
    heads = FACE_OF_HEAD * frame_height / face_height
    return next((scale for scale, reach in SHOT_SCALES if heads <= reach), FARTHEST)

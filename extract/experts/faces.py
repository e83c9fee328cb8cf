"""Faces on screen: boxes, scores and landmarks, and the scale of the shot that the largest face says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from extract.expert import Column, Expert, Resources, Streams, TableSpec, Tap
from extract.experts._faces import DetectorOptions, FaceFinder, load_finder
from extract.experts._pictures import SCENE, FrameTap
from extract.ops.picture.faces import SHOT_SCALES, Faces, shot_scale
from extract.types import Item, MediaInfo, Row
from extract.weights.files import WeightFile


@dataclass(frozen=True)
class FacesOptions(DetectorOptions):
    """How faces are found, and where.

    ``sample_seconds``: beside keyframes look at as many further frames as it takes that no stretch of a shot
    as long as that stays unseen; None looks at keyframes only.
    """

    sample_seconds: float | None = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sample_seconds is not None and not self.sample_seconds >= 0.1:
            raise ValueError(f"sample_seconds is {self.sample_seconds}; allowed: 0.1 or more, or none")


class FacesModel:
    """``image`` uint8 (height, width, 3) RGB -> a row for each face, the largest first."""

    def __init__(self, finder: FaceFinder) -> None:
        self.finder = finder

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        found = self.finder([item.arrays["image"] for item in items])
        return [_rows(item, faces) for item, faces in zip(items, found, strict=True)]


def _rows(item: Item, faces: Faces) -> list[Row]:
    if not len(faces):
        return []
    tallest = float((faces.boxes[:, 3] - faces.boxes[:, 1]).max())
    scale = shot_scale(tallest, item.arrays["image"].shape[0])
    return [
        item.row(
            face=number,
            score=float(faces.scores[number]),
            box=faces.boxes[number],
            landmarks=faces.landmarks[number].ravel(),
            shot_scale=scale,
        )
        for number in range(len(faces))
    ]


class FacesExpert(Expert):
    """One row for each face on each frame looked at: MTCNN (Zhang et al. 2016), or YuNet (Wu et al. 2023).

    Frames are uint8 (height, width, 3) RGB at their native size; boxes and landmarks are in pixels of the
    upright frame, whose edges a box may cross. A frame without a face has no row. ``shot_scale`` is the same
    for all faces of a frame (:func:`extract.ops.picture.faces.shot_scale`). There is no embedding. Always
    float32.
    """

    summary = "boxes, scores and landmarks of every face on screen, and the shot's scale"
    Options = FacesOptions
    upstream = ("scenes",)
    empty_reason = "no face on any frame"

    options: FacesOptions

    def tables(self) -> Mapping[str, TableSpec]:
        scales = ", ".join(scale for scale, _ in SHOT_SCALES)
        columns = (
            SCENE,
            Column("face", "int32", "place among the frame's faces, from 0; the largest first"),
            Column("score", "float32", "the detector's confidence, 0 to 1"),
            Column("box", "list<float32>", "left, top, right, bottom in pixels of the upright frame"),
            Column(
                "landmarks", "list<float32>", "x1, y1 ... x5, y5 in pixels: eyes, nose, corners of the mouth"
            ),
            Column("shot_scale", "string", f"by the frame's tallest face: {scales}, very long shot"),
        )
        return {self.name: TableSpec(columns)}

    def references(self) -> tuple[str, ...]:
        return (*self.cites, *self.options.references())

    def streams(self) -> Streams:
        return Streams(keyframes=True, sample_seconds=self.options.sample_seconds)

    def tap(self, media: MediaInfo) -> Tap:
        return FrameTap()

    def weights(self) -> tuple[WeightFile, ...]:
        return self.options.weights()

    def load(self, resources: Resources) -> FacesModel:
        return FacesModel(load_finder(self.options, resources))

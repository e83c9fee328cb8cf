"""Expressions of the faces in each shot's keyframe: one vector for a keyframe that shows a face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from extract.expert import Column, Embedding, Expert, Resources, Streams, TableSpec, Tap, Tolerance
from extract.experts._faces import DetectorOptions, FaceFinder, load_finder
from extract.experts._pictures import IMAGE_SIZE, SCENE, KeyframeTap, Normalisation, PictureModel
from extract.ops.picture.images import squash
from extract.types import Item, MediaInfo, Row
from extract.weights.checkpoints import fill, to_be_filled
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

DIMENSION = 768
MOST_FACES = 2
EXPRESSIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")  # the published order
HALF = (0.5, 0.5, 0.5)
REPOSITORY = "vit-face-expression"
FILE = WeightFile(
    role="model",
    name=f"{REPOSITORY}/model.safetensors",
    sha256=None,
    url=f"https://huggingface.co/trpakov/{REPOSITORY}/resolve/main/model.safetensors",
    size_bytes=None,
    licence="Apache-2.0",
)


class FaceEmotionModel:
    """``image`` uint8 (height, width, 3) RGB -> ``embedding`` float32 (768,), or no row without a face."""

    def __init__(self, network: torch.nn.Module, resources: Resources, finder: FaceFinder) -> None:
        self._pictures = PictureModel(network, resources, Normalisation(HALF, HALF))
        self.network = network
        self.finder = finder

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        images = [item.arrays["image"] for item in items]
        faces = self.finder(images)
        crops = [found.crops(image, MOST_FACES) for found, image in zip(faces, images, strict=True)]
        values = iter(self.expressions([crop for mine in crops for crop in mine]))
        return [
            list(_rows(item, [next(values) for _ in mine])) for item, mine in zip(items, crops, strict=True)
        ]

    def expressions(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.floating]:
        """(crops, 775) of crops (height, width, 3): the class token's 768 values, and 7 logits."""
        if not crops:
            return np.empty((0, DIMENSION + len(EXPRESSIONS)), np.float32)
        return self._pictures.vectors(np.stack([prepared(crop) for crop in crops]))


def prepared(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A crop of any shape as the network sees it, (224, 224, 3): as the file's image processor resizes it."""
    from PIL.Image import Resampling

    return squash(np.ascontiguousarray(crop), IMAGE_SIZE, resample=Resampling.BILINEAR)


def _rows(item: Item, values: Sequence[NDArray[np.floating]]) -> Iterator[Row]:
    """The mean over the faces."""
    if values:
        logits = values[0][DIMENSION:].astype(np.float64)
        shares = np.exp(logits - logits.max())
        best = int(logits.argmax())
        yield item.row(
            faces=len(values),
            expression=EXPRESSIONS[best],
            probability=float(shares[best] / shares.sum()),
            embedding=np.mean([each[:DIMENSION] for each in values], axis=0, dtype=np.float32),
        )


class FaceEmotion(Expert):
    """ViT-B/16 (Dosovitskiy et al. 2021) fine-tuned on facial expressions, on the two largest faces.

    ``embedding`` (768,): the class token's last hidden state, before the final layer norm, mean of the two
    faces. A face's box in whole pixels of the upright frame, uint8 RGB, is squeezed to 224 x 224 by Pillow's
    bilinear filter, without a margin; values from -1 to 1. A keyframe without a face has no row. So does the
    public code of Sulun et al. 2024, but for its detector, a YOLOv5.
    """

    summary = "facial expressions on each shot's keyframe (ViT), mean of the two largest faces"
    cites = ("dosovitskiy2021vit",)
    tolerance = Tolerance(bfloat16=0.02, float16=0.003)
    Options = DetectorOptions
    upstream = ("scenes",)
    empty_reason = "no face on any keyframe"

    options: DetectorOptions

    def tables(self) -> Mapping[str, TableSpec]:
        columns = (
            SCENE,
            Column("faces", "int32", "faces that the vector is the mean of, 1 or 2"),
            Column("expression", "string", f"likeliest of the largest face: {', '.join(EXPRESSIONS)}"),
            Column("probability", "float32", "how likely the network finds it"),
        )
        return {self.name: TableSpec(columns, Embedding((DIMENSION,)))}

    def references(self) -> tuple[str, ...]:
        return (*self.cites, *self.options.references())

    def streams(self) -> Streams:
        return Streams(keyframes=True)

    def tap(self, media: MediaInfo) -> Tap:
        return KeyframeTap(lambda image: [(image, {})])

    def weights(self) -> tuple[WeightFile, ...]:
        return (*self.options.weights(), FILE)

    def load(self, resources: Resources) -> FaceEmotionModel:
        from extract.nets.vit import VitClassifier

        with to_be_filled():
            network: torch.nn.Module = VitClassifier(len(EXPRESSIONS))
        fill(network, resources, FILE.role, what=f"ViT-B/16 ({REPOSITORY})")
        return FaceEmotionModel(network, resources, load_finder(self.options, resources))

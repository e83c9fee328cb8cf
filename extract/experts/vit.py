"""ViT-B/16: what is in the picture (ImageNet-21k), one vector for each shot's keyframe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from extract.expert import Package, Tolerance
from extract.experts._pictures import IMAGE_SIZE, Normalisation, PictureExpert
from extract.ops.picture.images import squash
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

REPOSITORY = "vit-base-patch16-224-in21k"
HALF = (0.5, 0.5, 0.5)

FILE = WeightFile(
    role="model",
    name=f"{REPOSITORY}/model.safetensors",
    sha256=None,
    url=f"https://huggingface.co/google/{REPOSITORY}/resolve/main/model.safetensors",
    size_bytes=None,
    licence="Apache-2.0",
)


class Vit(PictureExpert):
    """ViT-B/16 of Dosovitskiy et al. 2021, trained on ImageNet-21k: the class token, (768,).

    Input (224, 224, 3) RGB: the picture squeezed to 224 x 224 whatever its aspect, as the file's
    own image processor does, by Pillow's bilinear filter; values from -1 to 1. The vector is the
    last hidden state of the class token, after the final layer norm and before the pooler.

    Sulun et al. 2024 compare with a ViT and an AST in 10-second windows and name neither file. This
    is Google's ImageNet-21k file, and it sees each shot's keyframe, as the other picture experts
    do: rows join the AST's windows on time.
    """

    summary = "ViT-B/16 (ImageNet-21k) embedding of each shot's keyframe"
    cites = ("dosovitskiy2021vit", "deng2009imagenet")
    tolerance = Tolerance(bfloat16=0.015, float16=0.002)
    packages = (Package("torch", "vit"),)
    dimension = 768
    network_name = f"ViT-B/16 ({REPOSITORY})"
    normalisation = Normalisation(HALF, HALF)

    def weights(self) -> tuple[WeightFile, ...]:
        return (FILE,)

    def crop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        from PIL.Image import Resampling

        return squash(image, IMAGE_SIZE, resample=Resampling.BILINEAR)

    def build(self) -> torch.nn.Module:
        from extract.nets.vit import Vit

        return Vit()

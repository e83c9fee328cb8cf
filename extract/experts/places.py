"""ResNet18-Places365: what place the picture shows, one vector for each shot's keyframe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from extract.expert import Package, Tolerance
from extract.experts._classes import WithClasses, labels
from extract.experts._frames import FramesExpert
from extract.experts._pictures import IMAGE_SIZE
from extract.ops.picture.images import centre_crop, squash
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

RESIZE = 256
CLASSES = 365

FILE = WeightFile(
    role="model",
    name="resnet18_places365.pth.tar",
    sha256="2f4759217d470da2b803f8f66cd4488a066406b555a5fb95ee9a4663f9f05588",
    url="http://places2.csail.mit.edu/models_places365/resnet18_places365.pth.tar",
    size_bytes=45_506_139,
    licence="CC BY",
)


class Places(WithClasses, FramesExpert):
    """ResNet-18 trained on Places365 (Zhou et al. 2017): the global average pool, (512,).

    Input (224, 224, 3) RGB: the picture squeezed to 256 x 256 whatever its aspect, as the authors'
    own demo does, by Pillow's bilinear filter; the middle 224; ImageNet's mean and standard
    deviation. Fish et al. 2021 speak of 1024 values; a ResNet-18 has 512 and their public code has
    no such expert, so what the other 512 were cannot be told, and 512 is what is stored.
    """

    summary = "ResNet18-Places365 scene embedding of each shot's keyframe"
    cites = ("zhou2018places", "he2016resnet")
    tolerance = Tolerance(bfloat16=0.015, float16=0.002)
    packages = (Package("torchvision", "places"),)
    dimension = 512
    network_name = "ResNet18-Places365"

    def weights(self) -> tuple[WeightFile, ...]:
        return (FILE,)

    def crop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        from PIL.Image import Resampling

        return centre_crop(squash(image, RESIZE, resample=Resampling.BILINEAR), IMAGE_SIZE)

    def build(self) -> torch.nn.Module:
        from torchvision.models import resnet18

        network: torch.nn.Module = resnet18(weights=None, num_classes=CLASSES)
        return network

    def feature(self, network: torch.nn.Module) -> torch.nn.Module:
        network.fc = self.last(network.fc)  # type: ignore[arg-type]
        return network

    def class_names(self) -> Sequence[str]:
        return labels("places365")

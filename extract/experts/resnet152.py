"""ResNet-152: objects (ImageNet) or objects and places (hybrid1365), a vector for each keyframe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from extract.errors import WeightsError
from extract.expert import Column, Package, Tolerance
from extract.experts._classes import ClassOptions, WithClasses, imagenet, labels
from extract.experts._pictures import IMAGE_SIZE, IMAGENET, SCENE, Normalisation, PictureExpert
from extract.nets.caffe_weights import layer_blobs
from extract.ops.picture.images import centre_crop, resize_shorter, squash, ten_crop
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

Weights = Literal["imagenet_v1", "imagenet_v2", "places365", "hybrid1365"]
Crops = Literal["centre", "ten"]

CENTRE = 4  # the place of the middle crop among ten
CAFFE_CLASSES = {"places365": 365, "hybrid1365": 1365}
# The channel means of places365CNN_mean.binaryproto (B, G, R), as public users of these models give them.
PLACES_MEAN = Normalisation((104.051, 112.514, 116.676), (1.0, 1.0, 1.0), scale=1.0, bgr=True)


def _torchvision(name: str, sha256: str) -> WeightFile:
    url = f"https://download.pytorch.org/models/{name}"
    return WeightFile("model", name, sha256, url, size_bytes=None, licence="BSD-3-Clause")


def _caffe(name: str) -> WeightFile:
    url = f"http://places2.csail.mit.edu/models_places365/{name}"
    return WeightFile("model", name, sha256=None, url=url, size_bytes=None, licence="CC BY")


FILES: Mapping[Weights, WeightFile] = {
    "imagenet_v1": _torchvision("resnet152-394f9c45.pth", "394f9c45"),
    "imagenet_v2": _torchvision("resnet152-f82ba261.pth", "f82ba261"),
    "places365": _caffe("resnet152_places365.caffemodel"),
    "hybrid1365": _caffe("resnet152_hybrid1365.caffemodel"),
}


@dataclass(frozen=True)
class Resnet152Options(ClassOptions):
    """``weights``: torchvision's two trainings on ImageNet, or the Caffe networks of Places365.

    ``hybrid1365`` was trained on ImageNet and Places365 together, which is what Wehrmann & Barros
    2017 say of theirs. ``crops``: the middle of the picture, or the corners and the middle of it
    and of its mirror image, as they do at test time: ten rows for each keyframe.
    """

    weights: Weights = "imagenet_v1"
    crops: Crops = "centre"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in (("weights", get_args(Weights)), ("crops", get_args(Crops))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}")


class Resnet152(WithClasses, PictureExpert):
    """ResNet-152 of He et al. 2016: the global average pool, (2048,).

    Input (224, 224, 3) RGB, Pillow's bilinear filter:

    - ``imagenet_v1``, ``imagenet_v2`` (torchvision): the shorter side at 256 or 232, ImageNet's mean
      and standard deviation.
    - ``places365``, ``hybrid1365`` (Caffe): the picture squeezed to 256 x 256, as the demo of the
      authors' PyTorch networks does; B, G, R from 0 to 255 less the means of Places365 (their
      training files subtract the mean for each pixel). These networks have their stride and first
      pooling elsewhere than torchvision's (:mod:`extract.nets.caffe_resnet152`), so the weights of
      one do not fit the other.

    Column ``crop``: 0 to 3 are the corners (top left, top right, bottom left, bottom right), 4 is
    the middle, 5 to 9 are the same of the mirrored picture. Crops stay apart because averaging
    predictions, for which ten crops are made, is not averaging features; a GROUP BY gives those.
    """

    summary = "ResNet-152 (ImageNet, or ImageNet and Places365) embedding of each shot's keyframe"
    cites = ("he2016resnet",)
    tolerance = Tolerance(bfloat16=0.015, float16=0.002)
    Options = Resnet152Options
    packages = (Package("torchvision", "resnet152"),)
    dimension = 2048
    columns = (SCENE, Column("crop", "int32", "which crop of the picture; 4 is the middle"))

    @property
    def is_caffe(self) -> bool:
        return self.options.weights in CAFFE_CLASSES

    @property
    def network_name(self) -> str:  # type: ignore[override]
        return f"ResNet-152 ({self.options.weights}, {'Caffe' if self.is_caffe else 'torchvision'})"

    @property
    def normalisation(self) -> Normalisation:  # type: ignore[override]
        return PLACES_MEAN if self.is_caffe else IMAGENET

    def weights(self) -> tuple[WeightFile, ...]:
        return (FILES[self.options.weights],)

    def references(self) -> tuple[str, ...]:
        trained = {"places365": ("zhou2018places",), "hybrid1365": ("deng2009imagenet", "zhou2018places")}
        return (*self.cites, *trained.get(self.options.weights, ("deng2009imagenet",)))

    def views(self, image: NDArray[np.uint8]) -> Iterable[tuple[NDArray[np.uint8], Mapping[str, Any]]]:
        from PIL.Image import Resampling

        if self.is_caffe:
            resized = squash(image, 256, resample=Resampling.BILINEAR)
        else:
            side = 232 if self.options.weights == "imagenet_v2" else 256
            resized = resize_shorter(image, side, resample=Resampling.BILINEAR)
        if self.options.crops == "centre":
            yield centre_crop(resized, IMAGE_SIZE), {"crop": CENTRE}
        else:
            for place, crop in enumerate(ten_crop(resized, IMAGE_SIZE)):
                yield crop, {"crop": place}

    def build(self) -> torch.nn.Module:
        if self.is_caffe:
            from extract.nets.caffe_resnet152 import CaffeResNet152

            return CaffeResNet152(classes=CAFFE_CLASSES[self.options.weights])
        from torchvision.models import resnet152

        network: torch.nn.Module = resnet152(weights=None)
        return network

    def tensors(self, path: Path) -> Mapping[str, torch.Tensor]:
        if not self.is_caffe:
            return super().tensors(path)
        from extract.nets.caffe_resnet152 import from_caffe

        try:
            return from_caffe(layer_blobs(np.memmap(path, np.uint8, mode="r").data))
        except (WeightsError, ValueError) as error:  # an empty file cannot be mapped
            raise WeightsError(f"{path}: {error}") from error

    def feature(self, network: torch.nn.Module) -> torch.nn.Module:
        from torch.nn import Sequential

        if not self.is_caffe:
            network.fc = self.last(network.fc)  # type: ignore[arg-type]
        elif self.options.classes:  # without, its own forward ends before the last layer
            return Sequential(network, self.last(network.get_submodule(f"fc{len(self.class_names())}")))
        return network

    def class_names(self) -> Sequence[str]:
        of_places = labels("places365")
        known: dict[Weights, Sequence[str]] = {
            "places365": of_places,
            "hybrid1365": (*imagenet(), *of_places),
        }
        return known.get(self.options.weights) or imagenet()

"""SENet154: what is in the picture (ImageNet), one vector for each shot's keyframe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from extract.errors import WeightsError
from extract.expert import Package, Tolerance
from extract.experts._classes import WithClasses, imagenet
from extract.experts._frames import FramesExpert
from extract.experts._pictures import IMAGE_SIZE
from extract.ops.picture.images import centre_crop, resize_shorter
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

RESIZE = 256  # 224 / 0.875
GLUON_KEY = "conv1.0.weight"  # what only gluon's SENet154 calls its first convolution

TIMM_FILE = WeightFile(
    role="model",
    name="legacy_senet154-e9eb9fe6.pth",
    sha256="e9eb9fe6",
    url="https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
    "legacy_senet154-e9eb9fe6.pth",
    size_bytes=None,
    licence="Apache-2.0",
)
CADENE_FILE = WeightFile(
    role="model",
    name="senet154-c7b49a05.pth",
    sha256="c7b49a05",
    url="http://data.lip6.fr/cadene/pretrainedmodels/senet154-c7b49a05.pth",
    size_bytes=None,
    licence="BSD-3-Clause",
    alternatives=(TIMM_FILE,),
)


class Senet(WithClasses, FramesExpert):
    """SENet154 of Hu et al. 2018, trained on ImageNet: the global average pool, (2048,).

    Input (224, 224, 3) RGB: the shorter side at 256 by Pillow's bilinear filter, the middle 224,
    ImageNet's mean and standard deviation. The published conversions by Cadene and by timm
    (``legacy_senet154``) hold the same tensors under the same names, and either loads. Gluon's
    SENet154 has other names and another first max-pool, and is refused. Fish et al. 2021 take this
    as their image expert, on the frames of a clip and averaged (``frames=every``), and do not state the
    preprocessing.
    """

    summary = "SENet154 (ImageNet) embedding of each shot's keyframe"
    cites = ("hu2018senet", "deng2009imagenet")
    tolerance = Tolerance(bfloat16=0.015, float16=0.002)
    packages = (Package("timm", "senet"),)
    dimension = 2048
    network_name = "SENet154 (Cadene, timm legacy_senet154)"

    def weights(self) -> tuple[WeightFile, ...]:
        return (CADENE_FILE,)

    def crop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        from PIL.Image import Resampling

        return centre_crop(resize_shorter(image, RESIZE, resample=Resampling.BILINEAR), IMAGE_SIZE)

    def build(self) -> torch.nn.Module:
        from timm.models.senet import legacy_senet154

        network: torch.nn.Module = legacy_senet154(pretrained=False)
        return network

    def tensors(self, path: Path) -> Mapping[str, torch.Tensor]:
        state = super().tensors(path)
        if GLUON_KEY in state:
            raise WeightsError(
                f"{path.name} holds gluon's SENet154 (timm calls it senet154), whose first max-pool differs "
                f"from the Caffe one's: use {CADENE_FILE.name} or {TIMM_FILE.name}"
            )
        return state

    def feature(self, network: torch.nn.Module) -> torch.nn.Module:
        network.last_linear = self.last(network.last_linear)  # type: ignore[arg-type]
        return network

    def class_names(self) -> Sequence[str]:
        return imagenet()

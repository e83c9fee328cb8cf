"""CLIP ViT-B/32: what is in the picture, one vector for each shot's keyframe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from extract.expert import Package, Tolerance
from extract.experts._pictures import IMAGE_SIZE, Normalisation, PictureExpert
from extract.ops.picture.images import centre_crop, fit_longer, resize_shorter
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

EMBEDDING_SIZE = 512

# open_clip's OPENAI_DATASET_MEAN and _STD
CLIP_NORMALISATION = Normalisation((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

OPEN_CLIP_FILE = WeightFile(
    role="model",
    name="open_clip_model.safetensors",
    sha256=None,
    url="https://huggingface.co/timm/vit_base_patch32_clip_224.openai/resolve/main/open_clip_model.safetensors",
    size_bytes=None,
    licence="MIT",
    aliases=("vit_base_patch32_clip_224.openai/open_clip_model.safetensors",),
)
OPENAI_SHA256 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
OPENAI_FILE = WeightFile(
    role="model",
    name="ViT-B-32.pt",
    sha256=OPENAI_SHA256,
    url=f"https://openaipublic.azureedge.net/clip/models/{OPENAI_SHA256}/ViT-B-32.pt",
    size_bytes=353_976_522,
    licence="MIT",
    alternatives=(OPEN_CLIP_FILE,),
)


@dataclass(frozen=True)
class ClipOptions:
    """``resize``: which side becomes 224 pixels.

    ``"shorter"`` is the published model's own preprocessing, and what the code of Sulun et al.
    2024 does: the middle square is seen. ``"longer"`` is what their paper says: the whole picture
    is seen, centred between black bars (open_clip's resize mode "longest").
    """

    resize: Literal["shorter", "longer"] = "shorter"

    def __post_init__(self) -> None:
        if self.resize not in ("shorter", "longer"):
            raise ValueError(f"resize is {self.resize!r}; allowed: 'shorter', 'longer'")


class Clip(PictureExpert):
    """OpenAI's CLIP (Radford et al. 2021), image tower only: the projected class token, (512,).

    Input (224, 224, 3) RGB: the shorter side at 224 by Pillow's bicubic filter, the middle 224, CLIP's own
    mean and standard deviation; the layer is the class token after its norm, times ``proj``. The vector is
    not normalised to unit length (as Sulun et al. 2024 store it), so nothing is lost.
    """

    summary = "CLIP ViT-B/32 image embedding of each shot's keyframe"
    cites = ("radford2021clip",)
    tolerance = Tolerance(bfloat16=0.04, float16=0.005)
    Options = ClipOptions
    packages = (Package("torch", "clip"),)
    dimension = EMBEDDING_SIZE
    network_name = "CLIP ViT-B/32 (image tower)"
    normalisation = CLIP_NORMALISATION

    def weights(self) -> tuple[WeightFile, ...]:
        return (OPENAI_FILE,)

    def crop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return preprocess(image, resize=self.options.resize)

    def build(self) -> torch.nn.Module:
        from extract.nets.clip_tower import ClipTower

        return ClipTower()

    def tensors(self, path: Path) -> Mapping[str, torch.Tensor]:
        state = super().tensors(path)
        tower = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
        return tower or state


def preprocess(image: NDArray[np.uint8], *, resize: Literal["shorter", "longer"]) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) RGB -> (224, 224, 3), bicubic with antialiasing and 8-bit rounding as published."""
    from PIL import Image

    if resize == "longer":
        return fit_longer(image, IMAGE_SIZE, resample=Image.Resampling.BICUBIC)
    return centre_crop(resize_shorter(image, IMAGE_SIZE, resample=Image.Resampling.BICUBIC), IMAGE_SIZE)

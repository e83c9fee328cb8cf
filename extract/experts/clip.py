"""CLIP ViT-B/32: what is in the picture, one vector for each shot's keyframe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from extract.expert import Embedding, Model, Package, Resources, TableSpec, Tolerance, fill, to_be_filled
from extract.experts._open_clip import (
    VIT_B_32,
    ImageTextModel,
    ModelName,
    Resize,
    cites_of,
    image_tensors,
    image_tower,
    model_named,
    weight_file,
)
from extract.experts._pictures import PictureExpert, PictureModel
from extract.ops.picture.images import centre_crop, fit_longer, resize_shorter, squash
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

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
    """``model``: an image-text model of open_clip, ARCHITECTURE:TAG; None: OpenAI's ViT-B/32.

    ``resize``: how a picture becomes the square that the network sees; None: as the model was published.
    ``"shorter"`` is that of ViT-B/32, and what the code of Sulun et al. 2024 does: the middle square is seen.
    ``"longer"`` is what their paper says: the whole picture is seen, centred between black bars (open_clip's
    resize mode "longest"). With ``"squash"``, as SigLIP has it, the picture becomes the square.

    ``published`` is what open_clip says of the model: filled in for decoders, which do not import it.
    """

    model: ModelName | None = None
    resize: Resize | None = None
    published: ImageTextModel | None = None

    def __post_init__(self) -> None:
        if self.resize not in (None, "shorter", "longer", "squash"):
            raise ValueError(f"resize is {self.resize!r}; allowed: 'shorter', 'longer', 'squash'")


class Clip(PictureExpert):
    """OpenAI's CLIP (Radford et al. 2021), image tower only: the projected class token, (512,).

    Input (224, 224, 3) RGB: the shorter side at 224 by Pillow's bicubic filter, the middle 224, CLIP's own
    mean and standard deviation; the layer is the class token after its norm, times ``proj``. The vector is
    not normalised to unit length (as Sulun et al. 2024 store it), so nothing is lost. With another ``model``
    the vector is that of open_clip's ``encode_image``; size, filter and scaling are of its configuration.
    """

    summary = "CLIP ViT-B/32 image embedding of each shot's keyframe"
    cites = ("radford2021clip",)
    tolerance = Tolerance(bfloat16=0.04, float16=0.005)
    Options = ClipOptions
    packages = (Package("torch", "clip"),)

    options: ClipOptions

    @property
    def model(self) -> ImageTextModel:
        """Raises UsageError for a model that open_clip does not have, MissingDependency without open_clip."""
        if self.options.published is not None:
            return self.options.published
        return model_named(self.options.model)

    @property
    def resize(self) -> Resize:
        return self.options.resize or self.model.resize

    def settings(self) -> dict[str, Any]:
        """Without a model, those of versions that knew no other."""
        settings = {"version": self.version, "resize": self.resize}
        if self.model == VIT_B_32:
            return settings
        preprocessing = {name: getattr(self.model, name) for name in ("size", "interpolation", "mean", "std")}
        return settings | {"model": self.model.name, "preprocessing": preprocessing}

    def references(self) -> tuple[str, ...]:
        return (*self.cites, *cites_of(self.model))

    def check_installed(self) -> None:
        super().check_installed()
        _ = self.model

    def tap_options(self) -> dict[str, Any]:
        return {"published": self.model}

    def tables(self) -> Mapping[str, TableSpec]:
        return {self.name: TableSpec(columns=self.columns, embedding=Embedding((self.model.dimension,)))}

    def weights(self) -> tuple[WeightFile, ...]:
        return (clip_file(self.model),)

    def crop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return preprocess(
            image, resize=self.resize, size=self.model.size, interpolation=self.model.interpolation
        )

    def load(self, resources: Resources) -> Model:
        own = self.model == VIT_B_32
        with to_be_filled():
            network = _own_tower() if own else image_tower(self.model)
        what = "CLIP ViT-B/32" if own else self.model.name
        fill(network, resources, "model", image_tensors, what=f"{what} (image tower)")
        return PictureModel(network, resources, self.model.normalisation)


def clip_file(model: ImageTextModel) -> WeightFile:
    """The published file of a model, with both towers."""
    return OPENAI_FILE if model == VIT_B_32 else weight_file(model)


def _own_tower() -> torch.nn.Module:
    from extract.nets.clip_tower import ClipTower

    return ClipTower()


def preprocess(
    image: NDArray[np.uint8],
    *,
    resize: Resize,
    size: int = VIT_B_32.size,
    interpolation: Literal["bicubic", "bilinear"] = VIT_B_32.interpolation,
) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) RGB -> (size, size, 3), with antialiasing and 8-bit rounding as published."""
    from PIL import Image

    resample = Image.Resampling[interpolation.upper()]
    if resize == "longer":
        return fit_longer(image, size, resample=resample)
    if resize == "squash":
        return squash(image, size, resample=resample)
    return centre_crop(resize_shorter(image, size, resample=resample), size)

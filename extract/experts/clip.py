"""CLIP ViT-B/32: what is in the picture, one vector for each shot's keyframe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from extract.errors import MediaError
from extract.expert import Column, Embedding, Expert, Model, Package, Resources, Streams, TableSpec, Tap
from extract.ops.batching import fixed_batches, network_batch
from extract.types import Frame, Item, MediaInfo, Row, Scene
from extract.weights import WeightFile

if TYPE_CHECKING:
    import torch

ARCHITECTURE = "ViT-B-32-quickgelu"  # OpenAI trained with QuickGELU; open_clip's plain ViT-B-32 has GELU
IMAGE_SIZE = 224
EMBEDDING_SIZE = 512
HEAD_WIDTH = 64

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


class ClipTap(Tap):
    def __init__(self, options: ClipOptions) -> None:
        self.options = options

    def scene(self, scene: Scene, keyframe: Frame | None) -> Iterable[Item]:
        if keyframe is None:
            raise MediaError(f"the keyframe of scene {scene.index} could not be decoded")
        yield Item(
            keyframe.start_seconds,
            keyframe.end_seconds,
            arrays={"image": preprocess(keyframe.image, resize=self.options.resize)},
            columns={"scene": scene.index},
        )


class ClipModel:
    """The image tower: ``image`` uint8 (224, 224, 3) -> ``embedding`` float32 (512,), un-normalised."""

    def __init__(self, network: torch.nn.Module, resources: Resources) -> None:
        import torch
        from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

        self.network = network.to(resources.device).eval()
        self.resources = resources
        self.mean = torch.tensor(OPENAI_DATASET_MEAN, device=resources.device).view(1, 3, 1, 1)
        self.std = torch.tensor(OPENAI_DATASET_STD, device=resources.device).view(1, 3, 1, 1)

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        if not items:
            return []
        images = np.stack([item.arrays["image"] for item in items])
        size = network_batch(self.resources.device, self.resources.batch_size)
        embeddings = fixed_batches(self.embed, images, size)
        return [[item.row(embedding=e)] for item, e in zip(items, embeddings, strict=True)]

    def embed(self, images: NDArray[np.generic]) -> NDArray[np.floating]:
        """uint8 (batch, 224, 224, 3) RGB -> float32 (batch, 512)."""
        import torch

        from extract.ops.inference import inference

        with inference(self.resources.device, self.resources.precision):
            pixels = torch.from_numpy(images).to(self.resources.device).permute(0, 3, 1, 2)
            features = self.network((pixels.float() / 255 - self.mean) / self.std)
            return np.asarray(features.float().cpu().numpy())


class Clip(Expert):
    """OpenAI's CLIP (Radford et al. 2021), image tower only: the projected class token.

    The vector is not normalised to unit length (as Sulun et al. 2024 store it), so nothing is lost.
    """

    summary = "CLIP ViT-B/32 image embedding of each shot's keyframe"
    Options = ClipOptions
    upstream = ("scenes",)
    packages = (Package("open_clip", "clip"),)
    empty_reason = "no video frames"

    def tables(self) -> Mapping[str, TableSpec]:
        scene = Column("scene", "int32", "number of the shot, as in the scenes table")
        return {self.name: TableSpec(columns=(scene,), embedding=Embedding((EMBEDDING_SIZE,)))}

    def streams(self) -> Streams:
        return Streams(keyframes=True)

    def weights(self) -> tuple[WeightFile, ...]:
        return (OPENAI_FILE,)

    def tap(self, media: MediaInfo) -> Tap:
        return ClipTap(self.options)

    def load(self, resources: Resources) -> Model:
        from extract.checkpoints import load_state_dict, load_strict, seeded

        network = image_tower()
        if resources.random_seed is not None:
            seeded(network, resources.random_seed)
        else:
            state = load_state_dict(resources.weights["model"])
            tower = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
            load_strict(network, tower or state, what="CLIP ViT-B/32 (image tower)")
        return ClipModel(network, resources)


def preprocess(image: NDArray[np.uint8], *, resize: Literal["shorter", "longer"]) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) RGB -> (224, 224, 3), bicubic with antialiasing and 8-bit rounding as published."""
    from PIL import Image

    from extract.ops.images import centre_crop, fit_longer, resize_shorter

    if resize == "longer":
        return fit_longer(image, IMAGE_SIZE, resample=Image.Resampling.BICUBIC)
    return centre_crop(resize_shorter(image, IMAGE_SIZE, resample=Image.Resampling.BICUBIC), IMAGE_SIZE)


def image_tower() -> torch.nn.Module:
    """open_clip's own vision transformer without its text tower; nothing is fetched."""
    from open_clip import get_model_config
    from open_clip.transformer import QuickGELU, VisionTransformer

    config: dict[str, Any] = get_model_config(ARCHITECTURE)
    vision = config["vision_cfg"]
    network: torch.nn.Module = VisionTransformer(
        image_size=vision["image_size"],
        patch_size=vision["patch_size"],
        width=vision["width"],
        layers=vision["layers"],
        heads=vision["width"] // HEAD_WIDTH,
        mlp_ratio=4.0,
        output_dim=config["embed_dim"],
        act_layer=QuickGELU,
    )
    return network

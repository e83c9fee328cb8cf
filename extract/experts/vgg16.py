"""VGG16: what is in the picture (ImageNet), of each keyframe, of 200 frames, or of a poster."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from extract.errors import MediaError
from extract.expert import FrameSpec, Model, Package, Resources, Streams, Tap, Tolerance
from extract.experts._classes import ClassOptions, WithClasses, imagenet
from extract.experts._pictures import IMAGE_SIZE, PictureExpert, picture_item
from extract.ops.picture.even_selection import EvenSelection
from extract.ops.picture.images import centre_crop, resize_shorter, squash
from extract.options import Precision
from extract.types import Frame, Item, MediaInfo, Scene
from extract.weights.files import WeightFile
from extract.weights.locate import resolve

if TYPE_CHECKING:
    import torch

RESIZE = 256
EVEN_FRAMES = 200
Frames = Literal["keyframes", "even"]
Resize = Literal["crop", "squash"]
Layer = Literal["fc6_pre", "fc6", "fc7_pre", "fc7"]
# How many modules of torchvision's classifier give the layer: linear, ReLU, dropout, linear, ReLU.
DEPTHS: Mapping[Layer, int] = {"fc6_pre": 1, "fc6": 2, "fc7_pre": 4, "fc7": 5}

FILE = WeightFile(
    role="model",
    name="vgg16-397923af.pth",
    sha256="397923af",
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    size_bytes=None,
    licence="BSD-3-Clause",
)


@dataclass(frozen=True)
class Vgg16Options(ClassOptions):
    """Which frames, how they become 224 x 224, and which layer.

    ``frames``: each shot's keyframe, or 200 frames evenly spaced over the video (all of a video
    that has fewer), which is how many LeBaron uses; the spacing is not stated there. ``resize``:
    the published transform (``"crop"``: shorter side 256, middle 224), or the whole picture
    squeezed to 224 x 224 (``"squash"``); "normalized to 224x224x3" can be read as either.
    ``layer``: ``"fc7"`` and ``"fc6"`` are after their ReLU, ``"fc7_pre"`` and ``"fc6_pre"`` before.
    """

    frames: Frames = "keyframes"
    resize: Resize = "crop"
    layer: Layer = "fc7"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in (("frames", Frames), ("resize", Resize), ("layer", Layer)):
            if getattr(self, name) not in get_args(allowed):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; allowed: {', '.join(get_args(allowed))}"
                )


class EvenFramesTap(Tap):
    """Items of EVEN_FRAMES frames when the video ends; twice as many crops wait at most (60 MB)."""

    def __init__(self, expert: Vgg16) -> None:
        self.expert = expert
        self.selection: EvenSelection[Frame] = EvenSelection(EVEN_FRAMES)
        self.scenes: list[Scene] = []

    def frame(self, frame: Frame) -> Iterable[Item]:
        kept = None
        if self.selection.wants_next():
            crop = self.expert.crop(frame.image)
            kept = Frame(crop, frame.index, frame.start_seconds, frame.end_seconds)
        self.selection.push(kept)
        return ()

    def scene(self, scene: Scene, keyframe: Frame | None) -> Iterable[Item]:
        self.scenes.append(scene)
        return ()

    def close(self) -> Iterable[Item]:
        for frame in self.selection.finish():
            place = bisect_right(self.scenes, frame.index, key=lambda scene: scene.start_frame) - 1
            inside = place >= 0 and frame.index < self.scenes[place].end_frame
            yield picture_item(frame, frame.image, scene=self.scenes[place].index if inside else None)


class Vgg16(WithClasses, PictureExpert):
    """VGG16 of Simonyan & Zisserman 2015, trained on ImageNet: its second hidden layer, (4096,).

    Input (224, 224, 3) RGB by Pillow's bilinear filter, ImageNet's mean and standard deviation, as
    torchvision publishes it. With ``frames="even"``, ``scene`` is the shot that the frame is in, and
    empty for one of a transition between two shots.

    LeBaron and Moviescope (Cascante-Bonilla et al. 2019) take 4096 values of a VGG16 and say
    neither which of the two layers of that size nor whose weights; their vectors may come from a
    Caffe or Keras network, and equality with them is not claimed.
    """

    summary = "VGG16 (ImageNet) fc7 of each shot's keyframe, or of 200 frames"
    cites = ("simonyan2015vgg", "deng2009imagenet")
    tolerance = Tolerance(bfloat16=0.015, float16=0.002)
    Options = Vgg16Options
    packages = (Package("torchvision", "vgg16"),)
    dimension = 4096
    network_name = "VGG16 (torchvision)"

    def streams(self) -> Streams:
        if self.options.frames == "even":
            return Streams(frames=FrameSpec(None))
        return super().streams()

    def weights(self) -> tuple[WeightFile, ...]:
        return (FILE,)

    def tap(self, media: MediaInfo) -> Tap:
        return EvenFramesTap(self) if self.options.frames == "even" else super().tap(media)

    def crop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        from PIL.Image import Resampling

        if self.options.resize == "squash":
            return squash(image, IMAGE_SIZE, resample=Resampling.BILINEAR)
        return centre_crop(resize_shorter(image, RESIZE, resample=Resampling.BILINEAR), IMAGE_SIZE)

    def build(self) -> torch.nn.Module:
        from torchvision.models import vgg16

        network: torch.nn.Module = vgg16(weights=None)
        return network

    def feature(self, network: torch.nn.Module) -> torch.nn.Module:
        from torch.nn import Sequential

        layers, depth = list(network.classifier.children()), DEPTHS[self.options.layer]  # type: ignore[union-attr]
        network.classifier = Sequential(*layers[:depth], self.last(Sequential(*layers[depth:])))
        return network

    def class_names(self) -> Sequence[str]:
        return imagenet()


class Posters:
    """The same network for posters or other still pictures.

    Args:
        resize: as in :class:`Vgg16Options`; of a poster, ``"crop"`` leaves top and bottom out.
        layer: as in :class:`Vgg16Options`.
        weights: folder with the published file; default: the libraries' caches, then a download.
        device: ``auto``, ``cpu`` or ``cuda:N``.
        precision: of the network.
        random_seed: draw the weights from this seed instead of reading the file (dry runs).

    Raises UsageError for a device that is not there, WeightsError for weights that are missing or not what
    was published, ValueError for an option that is none of those that are allowed.
    """

    dim = 4096

    def __init__(
        self,
        *,
        resize: Resize = "crop",
        layer: Layer = "fc7",
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        precision: Precision = "float32",
        random_seed: int | None = None,
    ) -> None:
        from extract.fingerprint import fingerprint
        from extract.selection import choose_device

        self._expert = Vgg16(Vgg16Options(resize=resize, layer=layer))
        hashes: dict[str, str] = {}
        files: dict[str, Path] = {}
        if random_seed is None:
            folder = None if weights is None else Path(weights)
            found = resolve({"vgg16": self._expert.weights()}, folder, download=True)["vgg16"]
            files = {role: file.path for role, file in found.items()}
            hashes = {role: file.sha256 for role, file in found.items()}
        self.made_of = fingerprint(
            self._expert,
            weights=hashes,
            upstream={},
            precision=precision,
            dtype="float32",
            random_seed=random_seed,
        )[1]
        self._resources = Resources(
            device=choose_device(device), precision=precision, weights=files, random_seed=random_seed
        )
        self._model: Model | None = None

    def crop(self, path: str | os.PathLike[str]) -> NDArray[np.uint8]:
        """A picture as the network sees it. Raises MediaError: a file is missing or no picture."""
        return self._expert.crop(_picture(path))

    def vectors(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """float32 (crops, 4096), in order."""
        if not crops:
            return np.zeros((0, self.dim), np.float32)
        if self._model is None:
            self._model = self._expert.load(self._resources)
        rows = self._model([Item(0.0, 0.0, arrays={"image": crop}) for crop in crops])
        return np.stack([row["embedding"] for (row,) in rows])


def poster_features(paths: Sequence[str | os.PathLike[str]], **options: Any) -> NDArray[np.float32]:
    """Vectors of pictures, files that Pillow reads, float32 (len(paths), 4096), in order.

    Pictures are turned upright as their EXIF says, transparency is dropped. ``options`` are those of
    :class:`Posters`. Raises MediaError for a file that is missing or no picture, and what Posters raises.
    """
    posters = Posters(**options)
    return posters.vectors([posters.crop(path) for path in paths])


def _picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """An image file as uint8 (H, W, 3) RGB, upright."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"{os.fspath(path)!r} cannot be read as a picture: {error}") from error

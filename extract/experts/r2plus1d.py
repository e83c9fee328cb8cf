"""R(2+1)D: what happens, one vector for each short stack of frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from extract.errors import WeightsError
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
from extract.experts._clips import COLUMNS, ClipModel, ClipTap, check_grid
from extract.ops.motion.frame_grid import InnerStacks, SceneStacks, Stack, looped
from extract.ops.network.inference import dtype_of, inference, placed
from extract.ops.network.staged import Stacked
from extract.ops.picture.bilinear import PlainBilinear
from extract.types import Item, MediaInfo
from extract.weights.checkpoints import fill, load_state_dict, to_be_filled
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FEATURES = 512
CROP = 112
SHORT_SIDE = 128
SQUEEZED = (128, 171)  # height and width, whatever the picture's aspect
MEAN = (0.43216, 0.394666, 0.37645)
STD = (0.22803, 0.22145, 0.216989)
SHORTEST_CLIP = 1
MOAB = "https://github.com/moabitcoin/ig65m-pytorch/releases/download/v1.0.0"

Name = Literal["34_clip32_ig65m", "34_clip32_kinetics", "34_clip8_ig65m", "34_clip8_kinetics", "18_kinetics"]
Preprocessing = Literal["crop", "whole", "squeeze", "squeeze_8bit"]


@dataclass(frozen=True)
class Published:
    """A published network and how it was trained: classes, frames a clip, frames a second."""

    layers: int
    classes: int
    frames: int
    fps: float
    preprocessing: Preprocessing
    file: WeightFile


def _ig65m(name: str, digest: str, classes: int, frames: int) -> Published:
    file = f"r2plus1d_34_{name}-{digest}.pth"
    weights = WeightFile("model", file, digest, f"{MOAB}/{file}", None, "MIT")
    return Published(34, classes, frames, 30.0, "crop", weights)


NETWORKS: dict[str, Published] = {
    "34_clip32_ig65m": _ig65m("clip32_ig65m_from_scratch", "449a7af9", 359, 32),
    "34_clip32_kinetics": _ig65m("clip32_ft_kinetics_from_ig65m", "ade133f1", 400, 32),
    "34_clip8_ig65m": _ig65m("clip8_ig65m_from_scratch", "9bae36ae", 487, 8),
    "34_clip8_kinetics": _ig65m("clip8_ft_kinetics_from_ig65m", "0aa0550b", 400, 8),
    "18_kinetics": Published(
        layers=18,
        classes=400,
        frames=16,
        fps=15.0,
        preprocessing="squeeze_8bit",
        file=WeightFile(
            role="model",
            name="r2plus1d_18-91a641e6.pth",
            sha256="91a641e6",
            url="https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth",
            size_bytes=None,
            licence="BSD-3-Clause",
        ),
    ),
}


@dataclass(frozen=True)
class R2plus1dOptions:
    """None is the chosen network's own: its clip length, 30 fps (15 for the 18 layers), its preprocessing.

    ``step``: frames of the grid from the start of one stack to that of the next; None is ``frames``.
    ``trim``: without the first and the last frame of each shot.

    ``preprocessing``: ``"crop"`` short side 128, middle 112 x 112; ``"whole"`` short side 128, no crop, as
    ig65m-pytorch's own tool extracts; ``"squeeze"`` 128 x 171 whatever the aspect, middle 112 x 112,
    as video_features; ``"squeeze_8bit"`` the same rounded to 8 bits, as torchvision. All bilinear and
    without antialiasing.
    """

    model: Name = "34_clip32_ig65m"
    frames: int | None = None
    step: int | None = None
    trim: bool = False
    fps: float | None = None
    preprocessing: Preprocessing | None = None

    def __post_init__(self) -> None:
        if self.model not in NETWORKS:
            raise ValueError(f"model is {self.model!r}; allowed: {', '.join(NETWORKS)}")
        allowed = get_args(Preprocessing)
        if self.preprocessing is not None and self.preprocessing not in allowed:
            raise ValueError(f"preprocessing is {self.preprocessing!r}; allowed: {', '.join(allowed)}")
        check_grid(fps=self.grid_fps, frames=self.stack_frames, step=self.stack_step, shortest=SHORTEST_CLIP)

    @property
    def network(self) -> Published:
        return NETWORKS[self.model]

    @property
    def grid_fps(self) -> float:
        return self.network.fps if self.fps is None else self.fps

    @property
    def stack_frames(self) -> int:
        return self.network.frames if self.frames is None else self.frames

    @property
    def stack_step(self) -> int:
        return self.stack_frames if self.step is None else self.step


class Preprocess:
    """uint8 (H, W, 3) -> (h, w, 3), uint8 for ``"squeeze_8bit"``, else float32 in [0, 1]."""

    def __init__(self, kind: Preprocessing) -> None:
        self.kind = kind
        self._resizers: dict[tuple[int, int], PlainBilinear] = {}

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        size = (image.shape[0], image.shape[1])
        if size not in self._resizers:
            self._resizers = {size: self._resizer(*size)}
        resized = self._resizers[size](image)
        if self.kind == "squeeze_8bit":
            return np.rint(resized).astype(np.uint8)
        return resized / np.float32(255)

    def _resizer(self, height: int, width: int) -> PlainBilinear:
        if self.kind.startswith("squeeze"):
            return PlainBilinear((height, width), SQUEEZED, crop=CROP)
        scale = SHORT_SIDE / min(height, width)
        resized = (int(height * scale), int(width * scale))
        crop = CROP if self.kind == "crop" else None
        return PlainBilinear((height, width), resized, crop=crop, steps=(1 / scale, 1 / scale))


class R2plus1dModel(ClipModel):
    """``clip`` (n, h, w, 3), uint8 or float32 in [0, 1] -> ``embedding`` float32 (512,)."""

    def __init__(
        self,
        network: torch.nn.Module,
        features: Callable[[Any, torch.Tensor], torch.Tensor],
        frames: int,
        resources: Resources,
    ) -> None:
        import torch

        self.network = placed(network, resources)
        self.features = features
        self.frames = frames
        self.resources = resources
        self.mean = torch.tensor(MEAN, device=resources.device).view(1, 3, 1, 1, 1)
        self.std = torch.tensor(STD, device=resources.device).view(1, 3, 1, 1, 1)

    def order(self, items: Sequence[Item]) -> list[int]:
        return [place for places in _alike(items) for place in places]

    def stack(self, items: Sequence[Item]) -> Stacked:
        clips = [looped(item.arrays["clip"], self.frames) for item in items]
        return [np.stack([clips[place] for place in places]) for places in _alike(items)]

    def compute(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        with inference(self.resources.device):
            return torch.cat([self.batched(self.embed, clips) for clips in inputs])

    def embed(self, clips: torch.Tensor) -> torch.Tensor:
        """(batch, time, h, w, 3) -> (batch, 512)."""
        values = clips.permute(0, 4, 1, 2, 3)
        if not values.is_floating_point():
            values = values.float() / 255
        normalised = (values - self.mean) / self.std
        return self.features(self.network, normalised.to(dtype_of(self.resources.precision)))


def _alike(items: Sequence[Item]) -> list[list[int]]:
    """The places of items of one shape: whole pictures differ between videos."""
    places: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        places[item.arrays["clip"].shape[1:]].append(place)
    return [*places.values()]


class R2plus1d(Expert):
    """Tran et al. 2018; 34 layers trained on IG-65M (Ghadiyaram et al. 2019), or 18 on Kinetics-400.

    ``embedding`` float32 (512,): layer4 averaged over time, height and width, before the classifier. The
    network sees (frames, 112, 112, 3) RGB less Kinetics' mean, over its standard deviation. A row is a stack
    of frames of one shot. How shots are cut into stacks: :mod:`extract.ops.motion.frame_grid`.
    """

    summary = "R(2+1)D action embedding of stacks of frames"
    cites = ("tran2018r2plus1d",)
    tolerance = Tolerance(bfloat16=0.01, float16=0.001)
    Options = R2plus1dOptions
    upstream = ("scenes",)
    packages = (Package("torchvision", "r2plus1d"),)
    empty_reason = "no video frames"

    def tables(self) -> Mapping[str, TableSpec]:
        return {self.name: TableSpec(columns=COLUMNS, embedding=Embedding((FEATURES,)))}

    def references(self) -> tuple[str, ...]:
        trained = {"ghadiyaram2019ig65m"} if self.options.model.startswith("34") else set()
        if self.options.model.endswith("kinetics"):
            trained.add("kay2017kinetics")
        return (*self.cites, *sorted(trained))

    def streams(self) -> Streams:
        return Streams(frames=FrameSpec(None))

    def weights(self) -> tuple[WeightFile, ...]:
        return (self.options.network.file,)

    def tap(self, media: MediaInfo) -> Tap:
        options = self.options
        stacks = (InnerStacks[NDArray[Any]] if options.trim else SceneStacks[NDArray[Any]])(
            fps=options.grid_fps, length=options.stack_frames, step=options.stack_step
        )
        kind = options.preprocessing or options.network.preprocessing

        def arrays(stack: Stack[NDArray[Any]]) -> dict[str, dict[str, NDArray[Any]]]:
            return {self.name: {"clip": np.stack(stack.frames)}}

        return ClipTap(stacks, Preprocess(kind), arrays)

    def load(self, resources: Resources) -> Model:
        from extract.nets.r2plus1d import features, other_layout, r2plus1d_34, r2plus1d_kinetics_18

        published = self.options.network
        with to_be_filled():
            network = r2plus1d_34(published.classes) if published.layers == 34 else r2plus1d_kinetics_18()

        def read(path: Path) -> Mapping[str, Tensor]:
            state = load_state_dict(path)
            other = other_layout(state, layers=published.layers)
            if other is not None:
                raise WeightsError(f"{path} holds {other}; {self.options.model} needs {published.file.name}")
            return state

        fill(network, resources, "model", read, what=f"R(2+1)D {self.options.model}")
        return R2plus1dModel(network, features, self.options.stack_frames, resources)

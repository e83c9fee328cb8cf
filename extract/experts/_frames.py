"""Pictures on every n-th frame of a shot, averaged: a clip's vector in Fish et al. 2021 (section 4.2).

The first and the last frame of a shot are left out, as there (section 4.1): a cut that was found a frame too
early or too late shows another shot's picture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Embedding, FrameSpec, Model, Resources, Streams, TableSpec, Tap
from extract.errors import MediaError
from extract.experts._classes import ClassOptions
from extract.experts._pictures import SCENE, Image, PictureExpert, PictureModel
from extract.ops.network.staged import Stacked, StagedModel
from extract.types import Column, Frame, Item, MediaInfo, Row, Scene

if TYPE_CHECKING:
    import torch

MOST = 64  # pictures of a row, some 10 MB: a shot of more has a row for each so many
FRAMES = Column("frames", "int32", "pictures that the vector is the mean of")
Which = Literal["keyframe", "every"]


@dataclass(frozen=True)
class FrameOptions(ClassOptions):
    """``frames``: the keyframe of each shot, or ``every``, the mean over every n-th frame; ``nth`` is n."""

    frames: Which = "keyframe"
    nth: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frames not in get_args(Which):
            raise ValueError(f"frames is {self.frames!r}; allowed: {', '.join(get_args(Which))}")
        if self.nth < 1:
            raise ValueError(f"nth is {self.nth}; allowed: 1 or more")


@dataclass(frozen=True)
class _Seen:
    index: int
    start_seconds: float
    end_seconds: float
    image: Image


class FramesTap(Tap):
    """An item for each shot, with the crops of its frames whose number in the video is a multiple of n.

    The keyframe stands for a shot that has no such frame between its first and its last one. What is held
    are the crops of one row, and those of the detector's look-ahead.
    """

    def __init__(self, crop: Callable[[Image], Image], nth: int) -> None:
        self._crop, self._nth = crop, nth
        self._held: deque[_Seen] = deque()  # of the open shot or a later one
        self._sure: list[_Seen] = []  # of the open shot, neither its first frame nor its last
        self._open = 0
        self._any = False  # whether the open shot has a row

    def frame(self, frame: Frame) -> Iterable[Item]:
        if frame.index % self._nth == 0:
            seen = _Seen(frame.index, frame.start_seconds, frame.end_seconds, self._crop(frame.image))
            self._held.append(seen)
        return ()

    def settled(self, open_start_seconds: float, settled_seconds: float) -> Iterable[Item]:
        while self._held and self._held[0].end_seconds < settled_seconds:
            seen = self._held.popleft()
            if seen.start_seconds > open_start_seconds:
                self._sure.append(seen)
            if len(self._sure) == MOST:
                yield self._item()

    def scene(self, scene: Scene, keyframe: Frame | None) -> Iterable[Item]:
        while self._held and self._held[0].index < scene.end_frame:
            seen = self._held.popleft()
            if scene.start_frame < seen.index < scene.end_frame - 1:
                self._sure.append(seen)
            if len(self._sure) == MOST:
                yield self._item()
        if not (self._sure or self._any):
            if keyframe is None:
                raise MediaError(f"the keyframe of scene {scene.index} could not be decoded")
            image = self._crop(keyframe.image)
            self._sure = [_Seen(keyframe.index, keyframe.start_seconds, keyframe.end_seconds, image)]
        if self._sure:
            yield self._item()
        self._open, self._any = scene.index + 1, False

    def _item(self) -> Item:
        pictures, self._sure, self._any = self._sure, [], True
        return Item(
            pictures[0].start_seconds,
            pictures[-1].end_seconds,
            arrays={"images": np.stack([seen.image for seen in pictures])},
            columns={"scene": self._open, "frames": len(pictures)},
        )


class FramesModel(StagedModel):
    """``images`` uint8 (pictures, 224, 224, 3) RGB -> ``embedding`` float32 (dimension,), their mean.

    Pictures of several rows share the network's batches on an accelerator; on a CPU a row is computed alone.
    """

    def __init__(self, pictures: PictureModel) -> None:
        self._pictures = pictures
        self.resources = pictures.resources

    @property
    def items_at_once(self) -> int:
        return 1 if self.resources.device == "cpu" else self.resources.batch_size

    def stack(self, items: Sequence[Item]) -> Stacked:
        return [np.concatenate([item.arrays["images"] for item in items])]

    def compute(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        return self._pictures.compute(inputs)

    def rows(self, items: Sequence[Item], values: NDArray[np.floating]) -> list[list[Row]]:
        ends = np.cumsum([len(item.arrays["images"]) for item in items])[:-1]
        means = [each.mean(axis=0, dtype=np.float64).astype(np.float32) for each in np.split(values, ends)]
        return [[item.row(embedding=mean)] for item, mean in zip(items, means, strict=True)]


class FramesExpert(PictureExpert):
    """A picture expert that sees each shot's keyframe, or every n-th frame and averages (FrameOptions)."""

    Options = FrameOptions

    @property
    def _every(self) -> bool:
        return bool(self.options.frames == "every")

    def settings(self) -> dict[str, Any]:
        """Without the choice of frames where that is the keyframe: such rows keep their fingerprint."""
        found = super().settings()
        hidden = () if self._every else ("frames", "nth")
        return {name: value for name, value in found.items() if name not in hidden}

    def tables(self) -> Mapping[str, TableSpec]:
        if not self._every:
            return super().tables()
        return {self.name: TableSpec(columns=(SCENE, FRAMES), embedding=Embedding((self.dimension,)))}

    def streams(self) -> Streams:
        return Streams(keyframes=True, frames=FrameSpec(None) if self._every else None)

    def tap(self, media: MediaInfo) -> Tap:
        return FramesTap(self.crop, self.options.nth) if self._every else super().tap(media)

    def load(self, resources: Resources) -> Model:
        model = super().load(resources)
        if not self._every:
            return model
        assert isinstance(model, PictureModel)
        return FramesModel(model)

"""Small pictures of every shot for people to look at, and their colours."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from extract.errors import MediaError
from extract.expert import Column, Expert, Frame, Item, MediaInfo, Scene, Streams, TableSpec, Tap
from extract.ops.picture.colour_bands import band_colours


@dataclass(frozen=True)
class ThumbnailOptions:
    """``max_side``: pixels of the longer side, smaller frames stay as they are; ``quality``: of the JPEG.

    ``sample_seconds``: further frames of longer shots, so that no stretch of a shot as long as that goes
    without a picture; None takes keyframes only.
    """

    max_side: int = 320
    quality: int = 80
    sample_seconds: float | None = 10.0

    def __post_init__(self) -> None:
        if not 16 <= self.max_side <= 4096:
            raise ValueError(f"max_side is {self.max_side}; allowed: 16 to 4096 pixels")
        if not 1 <= self.quality <= 95:  # Pillow: above 95 files grow and pictures do not improve
            raise ValueError(f"quality is {self.quality}; allowed: 1 to 95")
        if self.sample_seconds is not None and not self.sample_seconds >= 0.1:
            raise ValueError(f"sample_seconds is {self.sample_seconds}; allowed: 0.1 or more, or none")


class ThumbnailTap(Tap):
    """The pictures of a shot leave together and in time order when the shot is over.

    A shot's samples may come before its keyframe, after it, or both. What is held is compressed: some
    10 kB for every ``sample_seconds`` of the open shot.
    """

    def __init__(self, options: ThumbnailOptions) -> None:
        self._options = options
        self._held: list[Item] = []

    def sample(self, scene_index: int, frame: Frame) -> Iterable[Item]:
        if self._held and self._held[0].columns["scene"] != scene_index:
            yield from self._leave()
        self._held.append(self._item(scene_index, frame, keyframe=False))

    def scene(self, scene: Scene, keyframe: Frame | None) -> Iterable[Item]:
        if keyframe is None:
            raise MediaError(f"the keyframe of scene {scene.index} could not be decoded")
        if self._held and self._held[0].columns["scene"] != scene.index:
            yield from self._leave()
        self._held.append(self._item(scene.index, keyframe, keyframe=True))

    def close(self) -> Iterable[Item]:
        return self._leave()

    def _leave(self) -> list[Item]:
        left, self._held = self._held, []
        return sorted(left, key=lambda item: item.start_seconds)

    def _item(self, scene: int, frame: Frame, *, keyframe: bool) -> Item:
        picture = Image.fromarray(frame.image)
        picture.thumbnail((self._options.max_side,) * 2, Image.Resampling.HAMMING)
        jpeg = io.BytesIO()
        picture.save(jpeg, "JPEG", quality=self._options.quality, optimize=True)
        columns: dict[str, Any] = {
            "scene": scene,
            "keyframe": keyframe,
            "width": picture.width,
            "height": picture.height,
            "jpeg": jpeg.getvalue(),
            "colours": band_colours(picture).ravel(),
        }
        return Item(frame.start_seconds, frame.end_seconds, columns=columns)


class Thumbnails(Expert):
    """One row for each picture: every shot's keyframe, and samples of shots that are long.

    ``jpeg`` is a whole JPEG file (baseline of ITU-T T.81, 1992; 4:2:0) of the upright frame. ``colours`` are
    five mean colours of the picture, R, G, B from the top band to the bottom one: side by side over time they
    are a film's barcode. Width and height are in pixels. No network and no embedding.
    """

    summary = "small pictures of every shot and their colours, for pages and people"
    cites = ("pillow",)
    Options = ThumbnailOptions
    lane = "none"
    upstream = ("scenes",)
    empty_reason = "no video frames"

    options: ThumbnailOptions

    def tables(self) -> Mapping[str, TableSpec]:
        columns = (
            Column("scene", "int32", "number of the shot, as in the scenes table"),
            Column("keyframe", "bool", "whether it is the shot's keyframe, and not a further sample"),
            Column("width", "int32", "of the picture, in pixels"),
            Column("height", "int32", "of the picture, in pixels"),
            Column("jpeg", "binary", "the picture as a JPEG file"),
            Column("colours", "list<float32>", "R, G, B of five bands from top to bottom, 0 to 255"),
        )
        return {self.name: TableSpec(columns)}

    def streams(self) -> Streams:
        return Streams(keyframes=True, sample_seconds=self.options.sample_seconds)

    def tap(self, media: MediaInfo) -> Tap:
        return ThumbnailTap(self.options)

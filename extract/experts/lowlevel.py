"""Hand-made descriptors of editing, colour, light, motion and sound, per scene and per video.

Four are those of Rasheed, Sheikh and Shah 2005 ("On the use of computable features for film
classification", IEEE TCSVT 15(1)). The audio-visual set follows the families of Huang and Wang
2012 without claiming to be their 277 features, whose list is not public. ``docs/descriptors.md``
defines all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from extract.expert import Column, Embedding, Expert, FrameSpec, Package, Streams, TableSpec, Tap
from extract.ops.motion.motion_content import RADIUS, MotionContent
from extract.ops.picture.descriptors import DESCRIPTOR_NAMES, DescriptorSummary
from extract.ops.picture.moments import History, Moments
from extract.ops.picture.visual_descriptors import (
    CHANGE_DESCRIPTORS,
    FRAME_DESCRIPTORS,
    change_descriptors,
    frame_descriptors,
    keyframe_colours,
)
from extract.ops.sound.audio_descriptors import AUDIO_DESCRIPTORS, SAMPLE_RATE, AudioDescriptors, AudioRows
from extract.types import AudioBlock, Frame, Item, MediaInfo, Scene

MOTION_SHORT_SIDE = 96
FRAME_BATCH = 64  # frames computed together, counted from the first: timing changes no value

_RASHEED = (
    Column("colour_variance", "float32", "determinant of the L*u*v* covariance of key frame pixels"),
    Column("lighting_key", "float32", "mean times deviation of HSV value, of key frames"),
    Column("motion_content", "float32", "share of pixels that move against the background, 0 to 1"),
)
SCENE_COLUMNS = (
    Column("scene", "int32", "index of the scene in the scenes table"),
    Column("shot_length_seconds", "float32", "length of the scene"),
    *_RASHEED,
)
VIDEO_COLUMNS = (
    Column("scenes", "int32", "number of scenes"),
    Column("average_shot_length_seconds", "float32", "mean length of the scenes"),
    Column("shot_length_std_seconds", "float32", "standard deviation of the scenes' lengths"),
    *_RASHEED,
)

Descriptors = Literal["all", "rasheed"]


@dataclass(frozen=True)
class LowlevelOptions:
    """``descriptors``: ``"rasheed"`` leaves out ``embedding`` and does not listen to the sound."""

    descriptors: Descriptors = "all"

    def __post_init__(self) -> None:
        if self.descriptors not in (allowed := get_args(Descriptors)):
            raise ValueError(f"descriptors is {self.descriptors!r}; allowed: {', '.join(allowed)}")


class Lowlevel(Expert):
    """Tables ``lowlevel`` (a row per scene) and ``lowlevel_video`` (one row, all of the video).

    Rasheed, Sheikh and Shah 2005, and the families of Huang and Wang 2012. ``embedding`` is float32 (115,),
    named by DESCRIPTOR_NAMES; units are in ``docs/descriptors.md``. What could not be measured is NaN: sound
    where there is none, change and motion in scenes of too few frames. Silence is measured. A file with sound
    only has no scenes, and a ``lowlevel_video`` row with the sound's part.
    """

    summary = "Rasheed's four descriptors; colour, light, motion and sound statistics"
    cites = ("rasheed2005", "huang2012")
    Options = LowlevelOptions
    version = 2  # 2: small frames are enlarged
    lane = "none"
    upstream = ("scenes",)
    packages = (Package("cv2", "lowlevel"),)
    empty_reason = "no picture and no sound"

    def tables(self) -> Mapping[str, TableSpec]:
        embedding = Embedding((len(DESCRIPTOR_NAMES),), float32=True, nan=True) if self._all else None
        return {
            self.name: TableSpec(SCENE_COLUMNS, embedding),
            f"{self.name}_video": TableSpec(VIDEO_COLUMNS, embedding),
        }

    def streams(self) -> Streams:
        return Streams(
            keyframes=True,
            audio_rate=SAMPLE_RATE if self._all else None,
            frames=FrameSpec(MOTION_SHORT_SIDE, grey=True, enlarge=True),
        )

    def tap(self, media: MediaInfo) -> Tap:
        return _LowlevelTap(media, embedding=self._all, video_table=f"{self.name}_video")

    @property
    def _all(self) -> bool:
        return bool(self.options.descriptors == "all")


class _FrameTrack:
    """Values of every frame, kept until their scene is done."""

    def __init__(self) -> None:
        self.done = 0  # frames below this index have their values
        self._waiting: list[NDArray[np.uint8]] = []
        self._last: NDArray[np.uint8] | None = None
        self._motion_content = MotionContent()
        self._light = History(len(FRAME_DESCRIPTORS))
        self._change = History(len(CHANGE_DESCRIPTORS))
        self._motion = History(1)

    def push(self, frame: Frame) -> None:
        self._waiting.append(frame.image)
        if len(self._waiting) == FRAME_BATCH:
            self.finish()

    def finish(self) -> None:
        """Compute what waits."""
        if not self._waiting:
            return
        frames = np.stack(self._waiting)
        self._waiting = []
        indices = np.arange(self.done, self.done + len(frames))
        self._light.append(indices, frame_descriptors(frames))
        before = frames[:1] if self._last is None else self._last
        self._change.append(indices, change_descriptors(np.concatenate([before, frames])))
        places, active = self._motion_content.push(frames)
        self._motion.append(places, active[:, None])
        self._last = frames[-1:]
        self.done += len(frames)

    def of(self, scene: Scene) -> tuple[NDArray[np.float32], ...]:
        """Light, change and motion rows that depend on frames of this scene only."""
        start, end = scene.start_frame, scene.end_frame
        return (
            self._light.between(start, end),
            self._change.between(start + 1, end),
            self._motion.between(start + RADIUS, end - RADIUS),
        )

    def discard(self, before: int) -> None:
        for history in (self._light, self._change, self._motion):
            history.discard(before)


class _SoundTrack:
    """Rows of audio descriptors, kept until their scene is done, and their statistics overall."""

    def __init__(self, *, keep: bool) -> None:
        self.end_seconds = -np.inf  # what lies before has its rows
        self.overall = Moments(len(AUDIO_DESCRIPTORS))
        self._keep = keep
        self._descriptors = AudioDescriptors()
        self._history = History(len(AUDIO_DESCRIPTORS))

    def push(self, block: AudioBlock) -> None:
        self._take(self._descriptors.push(block))

    def finish(self) -> None:
        self._take(self._descriptors.flush())

    def of(self, scene: Scene) -> NDArray[np.float32]:
        """Rows of the windows whose middle lies in the scene."""
        return self._history.between(scene.start_seconds, scene.end_seconds)

    def discard(self, before_seconds: float) -> None:
        self._history.discard(before_seconds)

    def _take(self, groups: Iterable[AudioRows]) -> None:
        for group in groups:
            self.end_seconds = max(self.end_seconds, group.end_seconds)
            self.overall.add(group.values)
            if self._keep:
                self._history.append(group.seconds, group.values)


class _LowlevelTap(Tap):
    """A scene's row leaves when its frames and its sound, which may lag behind, are complete.

    What a row holds depends on the scene's interval only, not on when the scene was announced.
    """

    def __init__(self, media: MediaInfo, *, embedding: bool, video_table: str) -> None:
        self._embedding = embedding
        self._video_table = video_table
        self._wait_for_sound = embedding and media.has_audio
        self._closed = False
        self._frames = _FrameTrack()
        self._sound = _SoundTrack(keep=media.has_video)
        self._pending: deque[tuple[Scene, DescriptorSummary]] = deque()
        self._video = DescriptorSummary()
        self._start_seconds, self._end_seconds = np.inf, -np.inf

    def frame(self, frame: Frame) -> Iterable[Item]:
        self._frames.push(frame)
        self._extend(frame.start_seconds, frame.end_seconds)
        return self._complete()

    def audio(self, block: AudioBlock) -> Iterable[Item]:
        self._sound.push(block)
        self._extend(block.start_seconds, block.end_seconds)
        return self._complete()

    def scene(self, scene: Scene, keyframe: Frame | None) -> Iterable[Item]:
        assert keyframe is not None, "this expert asks for keyframes"
        summary = DescriptorSummary()
        summary.length_seconds.add(np.array([[scene.end_seconds - scene.start_seconds]]))
        summary.add_keyframe(keyframe_colours(keyframe.image))
        self._pending.append((scene, summary))
        return self._complete()

    def close(self) -> Iterable[Item]:
        self._frames.finish()
        self._sound.finish()
        self._closed = True
        items = self._complete()
        if self._start_seconds <= self._end_seconds:
            items.append(self._video_item())
        return items

    def _extend(self, start_seconds: float, end_seconds: float) -> None:
        self._start_seconds = min(self._start_seconds, start_seconds)
        self._end_seconds = max(self._end_seconds, end_seconds)

    def _complete(self) -> list[Item]:
        items = []
        while self._pending and self._has_all(self._pending[0][0]):
            scene, summary = self._pending.popleft()
            summary.add_frames(*self._frames.of(scene))
            summary.sound.add(self._sound.of(scene))
            self._frames.discard(scene.end_frame)
            self._sound.discard(scene.end_seconds)
            self._video.merge_picture(summary)
            items.append(self._scene_item(scene, summary))
        return items

    def _has_all(self, scene: Scene) -> bool:
        heard = not self._wait_for_sound or self._sound.end_seconds >= scene.end_seconds
        return self._closed or (heard and self._frames.done >= scene.end_frame)

    def _scene_item(self, scene: Scene, summary: DescriptorSummary) -> Item:
        columns = {
            "scene": scene.index,
            "shot_length_seconds": float(summary.length_seconds.mean[0]),
            **summary.rasheed(),
        }
        return Item(scene.start_seconds, scene.end_seconds, self._arrays(summary), columns)

    def _video_item(self) -> Item:
        self._video.sound.merge(self._sound.overall)
        columns = {
            "scenes": self._video.length_seconds.count,
            "average_shot_length_seconds": float(self._video.length_seconds.mean[0]),
            "shot_length_std_seconds": float(self._video.length_seconds.std[0]),
            **self._video.rasheed(),
        }
        arrays = self._arrays(self._video)
        return Item(self._start_seconds, self._end_seconds, arrays, columns, self._video_table)

    def _arrays(self, summary: DescriptorSummary) -> dict[str, NDArray[np.float32]]:
        return {"embedding": summary.embedding()} if self._embedding else {}

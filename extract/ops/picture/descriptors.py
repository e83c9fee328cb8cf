"""The descriptors of a scene or a video: their names, and how their parts come together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from extract.ops.picture.moments import Moments
from extract.ops.picture.visual_descriptors import (
    CHANGE_DESCRIPTORS,
    FRAME_DESCRIPTORS,
    KEYFRAME_DESCRIPTORS,
    KeyframeColours,
    colour_variance,
)
from extract.ops.sound.audio_descriptors import AUDIO_DESCRIPTORS

DESCRIPTOR_NAMES: tuple[str, ...] = (
    *KEYFRAME_DESCRIPTORS,
    *(f"{n}_{m}" for n in (*FRAME_DESCRIPTORS, *CHANGE_DESCRIPTORS) for m in ("mean", "std")),
    "motion_content_std",
    *(f"{n}_{m}" for n in AUDIO_DESCRIPTORS for m in ("mean", "std")),
)
"""The value at each position of the embedding of the tables ``lowlevel`` and ``lowlevel_video``."""


class DescriptorSummary:
    """The statistics behind one row: of one scene, or merged from all scenes of a video."""

    def __init__(self) -> None:
        self.length_seconds = Moments(1)
        self.sound = Moments(len(AUDIO_DESCRIPTORS))
        self._colours = Moments(len(KEYFRAME_DESCRIPTORS))
        self._luv = Moments(3)
        self._lighting_key = Moments(1)
        self._light = Moments(len(FRAME_DESCRIPTORS))
        self._change = Moments(len(CHANGE_DESCRIPTORS))
        self._motion = Moments(1)

    def add_keyframe(self, colours: KeyframeColours) -> None:
        self._colours.add(colours.descriptors[None])
        self._luv.add(colours.luv)
        self._lighting_key.add(np.array([[colours.lighting_key]]))

    def add_frames(
        self, light: NDArray[np.float32], change: NDArray[np.float32], motion: NDArray[np.float32]
    ) -> None:
        """Rows of FRAME_DESCRIPTORS, of CHANGE_DESCRIPTORS, and of the share of active pixels."""
        self._light.add(light)
        self._change.add(change)
        self._motion.add(motion)

    def merge_picture(self, other: DescriptorSummary) -> None:
        """Take up a scene without its sound: a video's sound is also that between the scenes."""
        for name in ("length_seconds", "_colours", "_luv", "_lighting_key", "_light", "_change", "_motion"):
            getattr(self, name).merge(getattr(other, name))

    def rasheed(self) -> dict[str, float]:
        """Colour variance of all key frames' pixels, mean lighting key, mean motion content."""
        return {
            "colour_variance": colour_variance(self._luv.covariance),
            "lighting_key": float(self._lighting_key.mean[0]),
            "motion_content": float(self._motion.mean[0]),
        }

    def embedding(self) -> NDArray[np.float32]:
        """float32 (len(DESCRIPTOR_NAMES),)."""
        parts = [
            self._colours.mean,
            _means_and_deviations(self._light),
            _means_and_deviations(self._change),
            self._motion.std,
            _means_and_deviations(self.sound),
        ]
        return np.concatenate(parts).astype(np.float32)


def _means_and_deviations(moments: Moments) -> NDArray[np.float64]:
    """mean, std, mean, std, ... of the columns."""
    return np.stack([moments.mean, moments.std], axis=1).ravel()

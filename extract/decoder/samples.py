"""Further frames of a scene beside its middle one, for experts that must not miss what comes and goes.

A fade through black joins a shot and a title card into one scene, and text may be up for part of
a shot only. The frames are those on screen at multiples of a step on the presentation clock, so
they depend on nothing but the scene and the file.
"""

from __future__ import annotations

import math
from collections import deque

from extract.media.picture import Picture
from extract.types import Scene

MOST_SAMPLES = 16  # of one scene; a longer one is sampled at twice the step, four times, ...


class SceneSamples:
    """Unconverted frames on the grid, held until their scene closes; at most 32 at a time wait."""

    def __init__(self, step_seconds: float) -> None:
        self.step_seconds = step_seconds
        self._pictures: deque[tuple[int, Picture]] = deque()

    def add(self, picture: Picture) -> None:
        """Keep this frame if it is on screen at a grid time."""
        place = math.ceil(picture.start_seconds / self.step_seconds)
        if place * self.step_seconds < picture.end_seconds:
            self._pictures.append((place, picture))

    def forget(self, open_start_seconds: float, settled_seconds: float) -> None:
        """The open scene started then and lasts at least until ``settled_seconds``."""
        factor = self._factor(settled_seconds - open_start_seconds)
        self._pictures = deque(
            (place, picture)
            for place, picture in self._pictures
            if picture.end_seconds > open_start_seconds and place % factor == 0
        )

    def of(self, scene: Scene) -> list[Picture]:
        """The frames of a closed scene, in order, at least half a step away from its keyframe."""
        factor = self._factor(scene.end_seconds - scene.start_seconds)
        return [
            picture
            for place, picture in self._pictures
            if scene.start_frame <= picture.index < scene.end_frame
            and place % factor == 0
            and abs(picture.start_seconds - scene.keyframe_start_seconds) >= self.step_seconds / 2
        ]

    def _factor(self, length_seconds: float) -> int:
        places = max(length_seconds / self.step_seconds, 1.0)
        return int(2 ** max(0, math.ceil(math.log2(places / MOST_SAMPLES))))

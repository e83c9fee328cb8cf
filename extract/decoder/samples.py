"""Further frames of a scene beside its middle one, for experts that must not miss what comes and goes.

A fade through black joins a shot and a title card into one scene, and text may be up for part of
a shot only. The candidates are the frames on screen at multiples of a step on the presentation
clock, and which of them are looked at depends on the scene's interval alone. So no stretch of a
scene as long as the step stays unseen, between two frames, before the first or after the last.
"""

from __future__ import annotations

import math
from collections import deque

from extract.media.picture import Picture
from extract.types import Scene

MOST_HELD_STEPS = 16  # of the open scene; what is longer is handed out while it goes on


class SceneSamples:
    """Unconverted frames at multiples of ``step_seconds``, held until it is clear which are looked at.

    In a scene of up to MOST_HELD_STEPS steps these are, beside the keyframe, as few as the step needs. In
    longer ones every candidate is looked at, and leaves as soon as it is known to be of such a scene. So no
    more wait than MOST_HELD_STEPS and the detector's look-ahead.
    """

    def __init__(self, step_seconds: float) -> None:
        self.step_seconds = step_seconds
        self._held: deque[Picture] = deque()

    def add(self, picture: Picture) -> None:
        """Keep this frame if it is on screen at a multiple of the step."""
        place = math.ceil(picture.start_seconds / self.step_seconds)
        if place * self.step_seconds < picture.end_seconds:
            self._held.append(picture)

    def settle(self, open_start_seconds: float, open_until_seconds: float) -> list[Picture]:
        """Frames of the open scene to look at now; it started then and lasts at least until the latter."""
        while self._held and self._held[0].end_seconds <= open_start_seconds:
            self._held.popleft()
        ready = []
        if self._is_long(open_start_seconds, open_until_seconds):
            while self._held and self._held[0].start_seconds < open_until_seconds:
                ready.append(self._held.popleft())
        return ready

    def close(self, scene: Scene) -> tuple[list[Picture], list[Picture]]:
        """The other frames of a scene that is over, to be looked at before and after its keyframe.

        In a long scene, whose first frames were looked at before its middle was known, all are before.
        """
        mine = [p for p in self._held if scene.start_frame <= p.index < scene.end_frame]
        if self._is_long(scene.start_seconds, scene.end_seconds):
            return mine, []
        needed = self._needed(scene, mine)
        return (
            [p for p in needed if p.index < scene.keyframe],
            [p for p in needed if p.index > scene.keyframe],
        )

    def _is_long(self, start_seconds: float, end_seconds: float) -> bool:
        return end_seconds - start_seconds > MOST_HELD_STEPS * self.step_seconds

    def _needed(self, scene: Scene, candidates: list[Picture]) -> list[Picture]:
        """Those without which a stretch as long as a step would be unseen, the keyframe being seen."""
        needed = []
        seen_until = scene.start_seconds
        for place, picture in enumerate(candidates):
            if seen_until <= scene.keyframe_start_seconds < picture.start_seconds:
                seen_until = scene.keyframe_end_seconds
            following = [p.start_seconds for p in candidates[place + 1 : place + 2]]
            if picture.index < scene.keyframe:
                following.append(scene.keyframe_start_seconds)
            unseen_seconds = min([*following, scene.end_seconds]) - seen_until
            if picture.index != scene.keyframe and unseen_seconds >= self.step_seconds:
                needed.append(picture)
                seen_until = picture.end_seconds
        return needed

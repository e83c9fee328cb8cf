"""PySceneDetect's content and adaptive detectors, its own classes fed with our frames.

https://github.com/Breakthrough/PySceneDetect (BSD-3-Clause), version 0.7. Both score the change of
hue, saturation and brightness between neighbouring frames; the content detector cuts where the
score reaches a threshold, the adaptive one where it stands out from its neighbours' mean. They see
what the package's own reader and ``SceneManager`` would show them: the pictures as they are stored,
converted to BGR, then scaled bilinearly to a long side of 256 pixels if they are larger.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from extract.detectors.base import Detector, Interval

if TYPE_CHECKING:
    from extract.media.picture import Picture

# The package's defaults (scenedetect/detectors, scene_manager.DEFAULT_MIN_WIDTH).
CONTENT_THRESHOLD = 27.0
ADAPTIVE_THRESHOLD = 3.0
WINDOW_WIDTH = 2
MIN_CONTENT_VAL = 15.0
MIN_SCENE_FRAMES = 15
LONG_SIDE = 256

_MICROSECONDS = 10**6


class _PackageDetector(Detector):
    """Feeds a detector of the package and reads its cuts as frame indices.

    ``min_scene_seconds`` None is the package's default, 15 frames. As in the package these are presentation
    times in units of 1 / ``fps``, rounded; without ``fps`` frames are counted one by one. Seconds are
    compared on presentation times, so they hold for variable frame rates too.
    """

    def __init__(self, min_scene_seconds: float | None, fps: float | None) -> None:
        self._in_seconds = min_scene_seconds is not None
        self._fps = fps
        self._min_scene = MIN_SCENE_FRAMES if min_scene_seconds is None else float(min_scene_seconds)
        self._pushed = 0
        self._size: tuple[int, int] | None = None
        self._recent: deque[tuple[int, Any]] = deque()  # frames that may still become a cut

    def push(self, picture: Picture) -> list[Interval]:
        now = self._timecode(picture)
        self._recent.append((self._pushed, now))
        self._pushed += 1
        cuts = self._detector.process_frame(now, self._image(picture))
        closed = []
        for cut in cuts:
            frame = next(index for index, timecode in self._recent if timecode is cut)
            if frame > self.open_start:
                closed.append((self.open_start, frame))
                self.open_start = frame
        while self._recent and self._is_settled(*self._recent[0], now):
            self._recent.popleft()
        self.settled = self._recent[0][0] if self._recent else self._pushed
        return closed

    def finish(self) -> list[Interval]:
        closed = [(self.open_start, self._pushed)] if self._pushed else []
        self.open_start = self.settled = self._pushed
        return closed

    _detector: Any  # the package's

    def _is_settled(self, frame: int, timecode: Any, now: Any) -> bool:
        """No longer can a cut be reported at this frame once ``now`` was processed."""
        raise NotImplementedError

    def _timecode(self, picture: Picture) -> Any:
        from scenedetect.common import FrameTimecode, Timecode

        if not self._in_seconds and self._fps is None:  # frame numbers: the rate is never used
            return FrameTimecode(self._pushed, fps=1.0)
        pts = round(picture.start_seconds * _MICROSECONDS)
        return FrameTimecode(Timecode(pts, Fraction(1, _MICROSECONDS)), fps=self._fps or 1.0)

    def _image(self, picture: Picture) -> Any:
        """uint8 (height, width, 3) BGR, of the first picture's size even if the stream's changes."""
        import cv2

        image = picture.raw.to_ndarray(format="bgr24")
        if self._size is None:
            height, width = image.shape[:2]
            scale = min(1.0, LONG_SIDE / max(width, height))
            self._size = max(1, round(width * scale)), max(1, round(height * scale))
        if self._size == (image.shape[1], image.shape[0]):
            return image
        return cv2.resize(image, self._size, interpolation=cv2.INTER_LINEAR)


class ContentDetector(_PackageDetector):
    """Cuts where the content score reaches ``threshold`` (0 to 255).

    Cuts that follow each other faster than the minimum scene length are merged by the package's
    flash filter, which then reports the last of them, up to that length later.
    """

    def __init__(
        self,
        *,
        threshold: float = CONTENT_THRESHOLD,
        min_scene_seconds: float | None = None,
        fps: float | None = None,
    ) -> None:
        super().__init__(min_scene_seconds, fps)
        from scenedetect.detectors import ContentDetector as Package

        self._detector = Package(threshold=threshold, min_scene_len=self._min_scene)

    def _is_settled(self, frame: int, timecode: Any, now: Any) -> bool:
        return bool((now - timecode) >= self._min_scene)


class AdaptiveDetector(_PackageDetector):
    """Cuts where the content score is ``threshold`` times the mean of its neighbours' scores.

    ``window_width`` neighbours on either side are looked at; the score must also reach
    ``min_content_val``.
    """

    def __init__(
        self,
        *,
        threshold: float = ADAPTIVE_THRESHOLD,
        min_scene_seconds: float | None = None,
        window_width: int = WINDOW_WIDTH,
        min_content_val: float = MIN_CONTENT_VAL,
        fps: float | None = None,
    ) -> None:
        super().__init__(min_scene_seconds, fps)
        from scenedetect.detectors import AdaptiveDetector as Package

        self._window_width = window_width
        self._detector = Package(
            adaptive_threshold=threshold,
            min_scene_len=self._min_scene,
            window_width=window_width,
            min_content_val=min_content_val,
        )

    def _is_settled(self, frame: int, timecode: Any, now: Any) -> bool:
        return frame < self._pushed - self._window_width

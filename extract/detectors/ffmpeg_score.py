"""FFmpeg's ``scene`` score, the shot detector of Sulun et al. 2024.

Sulun, Viana and Davies, "Movie trailer genre classification using multimodal pretrained features"
(2024), whose code cuts where the score is above 0.27. The score is libavfilter's own: its
``select`` filter runs here on the decoded frames. It is min(MAFD, |MAFD - previous MAFD|) / 100,
clipped to 0..1, with MAFD the mean absolute difference to the previous frame in 8-bit levels
(libavfilter/f_select.c), at native size.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from extract.detectors.base import Detector, Interval

if TYPE_CHECKING:
    import av

    from extract.media.picture import Picture

THRESHOLD = 0.27


class FFmpegScoreDetector(Detector):
    """Cuts before every frame whose scene score is above ``threshold``, at once."""

    def __init__(self, *, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._score = SceneScore()

    def push(self, picture: Picture) -> list[Interval]:
        frame = self.settled
        self.settled += 1
        if self._score(picture.kept().raw) <= self._threshold:
            return []
        closed = [(self.open_start, frame)]
        self.open_start = frame
        return closed

    def finish(self) -> list[Interval]:
        closed = [(self.open_start, self.settled)] if self.settled else []
        self.open_start = self.settled
        return closed


class SceneScore:
    """``lavfi.scene_score`` of consecutive frames; 0 for the first one.

    A frame of another size or pixel format restarts the score, as FFmpeg's command line does when it
    rebuilds its filters in the middle of a stream.
    """

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._key: tuple[int, int, str] | None = None

    def __call__(self, frame: av.VideoFrame) -> float:
        key = (frame.width, frame.height, frame.format.name)
        if self._graph is None or key != self._key:
            self._graph, self._key = _graph(frame), key
        self._graph.vpush(frame)
        return float(self._graph.vpull().metadata["lavfi.scene_score"])


def _graph(frame: av.VideoFrame) -> av.filter.Graph:
    from av.filter import Graph

    graph = Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or Fraction(1, 1000),  # the score does not look at the time
        ),
        graph.add("select", "gte(scene,0)"),  # lets every frame pass, and scores it on the way
        graph.add("buffersink"),
    ).configure()
    return graph


def libavfilter_major() -> int:
    """Major version of the libavfilter in use: FFmpeg's releases have changed the score before."""
    import av

    return int(av.library_versions["libavfilter"][0])

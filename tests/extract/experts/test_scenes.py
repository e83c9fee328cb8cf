from __future__ import annotations

from typing import Any, get_args, get_type_hints

import numpy as np
import pyarrow as pa
import pytest

from extract import registry
from extract.detectors.pyscenedetect import ContentDetector
from extract.errors import UsageError
from extract.expert import PassThrough, Resources
from extract.experts.scenes import ScenesOptions, scene_from_row
from extract.types import MediaInfo, Scene

DETECTORS = get_args(get_type_hints(ScenesOptions)["detector"])
MEDIA = MediaInfo("film.mp4", 1, "mp4", None, has_video=True, has_audio=False, width=64, height=36)
SCENE = Scene(3, 10, 21, 100.4, 100.84 + 1e-13, 15, 9054000, 100.6, 100.64)


class Quiet:
    """A network that never sees a transition."""

    def __init__(self) -> None:
        self.windows = 0

    def submit(self, window: np.ndarray) -> None:
        self.windows += 1

    def poll(self, *, wait: bool) -> np.ndarray | None:
        if not self.windows:
            return None
        self.windows -= 1
        return np.zeros(50, np.float32)


def test_a_row_brings_the_scene_back_exactly() -> None:
    expert = registry.make_expert("scenes")
    items = list(expert.tap(MEDIA).scene(SCENE, None))
    [[row]] = expert.load(Resources())(items)
    assert isinstance(expert.load(Resources()), PassThrough)
    columns = expert.tables()["scenes"].columns
    assert set(row) == {c.name for c in columns} | {"start_seconds", "end_seconds"}
    schema = pa.schema(
        [(c.name, pa.type_for_alias(c.type)) for c in columns]
        + [("start_seconds", pa.float64()), ("end_seconds", pa.float64())]
    )
    [stored] = pa.Table.from_pylist([row], schema=schema).to_pylist()
    assert scene_from_row({"video_id": "film", "row": 3, **stored}) == SCENE


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("length", [1, 60])
def test_a_video_without_a_cut_is_one_scene(detector: str, length: int, pictures: Any, detect: Any) -> None:
    made = registry.make_expert("scenes", {"detector": detector}).make_detector(MEDIA, Quiet())  # type: ignore[attr-defined]
    film = pictures([np.full((36, 64, 3), 90, np.uint8)] * length)
    assert detect(made, film) == [(0, length)]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"detector": "pyscenedetect"}, "allowed: transnetv2, content, adaptive, ffmpeg"),
        ({"threshold": 1.5}, "threshold of the transnetv2 detector is 1.5; allowed: 0 to 1"),
        ({"threshold": "nan"}, "threshold is nan; a number is needed"),
        ({"detector": "content", "threshold": 256}, "allowed: 0 to 255"),
        ({"min_scene_seconds": 1}, "no effect on the transnetv2 detector.*for content, adaptive"),
        ({"detector": "content", "window_width": 3}, "no effect on the content detector.*for adaptive"),
        ({"detector": "adaptive", "window_width": 0}, "window_width of the adaptive detector is 0"),
        ({"detector": "ffmpeg", "min_content_val": 3}, "no effect on the ffmpeg detector"),
        ({"detector": "content", "min_scene_seconds": -1}, "allowed: 0 to inf"),
    ],
)
def test_options_that_cannot_be_or_do_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        registry.make_expert("scenes", options)


def test_options_reach_the_detector(pictures: Any, detect: Any) -> None:
    def boundaries(options: dict[str, Any]) -> list[int]:
        detector = registry.make_expert("scenes", options).make_detector(MEDIA, None)  # type: ignore[attr-defined]
        levels = [0] * 20 + [100] * 20 + [0] * 5 + [100] * 20 + [180] * 20
        return [
            start
            for start, _ in detect(detector, pictures([np.full((36, 64, 3), n, np.uint8) for n in levels]))
        ]

    content = {"detector": "content", "min_scene_seconds": 0}
    adaptive = {"detector": "adaptive", "min_scene_seconds": 0}
    assert boundaries({"detector": "content"}) == [0, 20, 40]
    assert boundaries({**content, "threshold": 20}) == [0, 20, 40, 45, 65]
    assert boundaries({**content, "threshold": 30}) == [0, 20, 40, 45]
    assert boundaries(adaptive) == [0, 20, 40, 45, 65]
    assert boundaries({**adaptive, "min_content_val": 30}) == [0, 20, 40, 45]
    assert boundaries({**adaptive, "threshold": 11}) == [0, 20, 40, 45, 65]
    assert boundaries({**adaptive, "threshold": 11, "window_width": 5}) == [0, 20, 65]
    assert boundaries({"detector": "ffmpeg", "threshold": 0.9}) == [0, 20, 40, 45]


def test_settings_name_what_decides_the_cuts() -> None:
    def settings(**options: Any) -> dict[str, Any]:
        return registry.make_expert("scenes", options).settings()

    assert settings() == settings(threshold=0.5) != settings(threshold=0.4)
    assert settings()["weights_sha256"].startswith("a313d0b3")
    assert settings(detector="content") == settings(detector="content", threshold=27)
    assert settings(detector="adaptive", window_width=3) != settings(detector="adaptive")
    assert "scenedetect" in settings(detector="adaptive") and "libavfilter" in settings(detector="ffmpeg")
    assert len({str(settings(detector=d)) for d in DETECTORS}) == len(DETECTORS)


def test_only_transnetv2_brings_a_network() -> None:
    for detector in set(DETECTORS) - {"transnetv2"}:
        assert registry.make_expert("scenes", {"detector": detector}).predictor(Resources()) is None  # type: ignore[attr-defined]
    scenes: Any = registry.make_expert("scenes")
    assert scenes.predictor(Resources())(np.zeros((1, 100, 27, 48, 3), np.uint8)).shape == (1, 50)
    with pytest.raises(ValueError, match="needs a predictor"):
        scenes.make_detector(MEDIA, None)
    assert isinstance(
        registry.make_expert("scenes", {"detector": "content"}).make_detector(MEDIA, None),  # type: ignore[attr-defined]
        ContentDetector,
    )

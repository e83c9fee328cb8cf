"""What an expert declares must fit together: it is refused when it is made, not silently without rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import extract.experts
from extract.errors import ExpertError
from extract.expert import Expert, FrameSpec, Item, Lane, MediaInfo, Model, PassThrough, Resources, Streams
from extract.registry import expert_names, make_expert, with_upstream

if TYPE_CHECKING:
    import pyarrow as pa

PICTURES = "from extract.expert import Expert, FrameSpec, Streams\nclass Planted(Expert):\n"
SILENT = MediaInfo("a.mp4", 1, "mp4", 1.0, has_video=True, has_audio=False)
SOUND = MediaInfo("a.mp3", 1, "mp3", 1.0, has_video=False, has_audio=True)


class Asks(Expert):
    """Asks for what it is told to."""

    asked: dict[str, Any]

    def streams(self) -> Streams:
        return Streams(**self.asked)


class Reads(Expert):
    def read_tables(self, tables: Mapping[str, pa.Table]) -> Iterator[Item]:
        return iter(())


class KeyframesAlone(Asks):
    asked = {"keyframes": True}  # noqa: RUF012


class FramesAlone(Asks):
    asked = {"frames": FrameSpec(48)}  # noqa: RUF012


class PicturesAndSound(Asks):
    asked = {"frames": FrameSpec(48), "audio_rate": 8000}  # noqa: RUF012


class SamplesAlone(Asks):
    upstream = ("scenes",)
    asked = {"sample_seconds": 1.0}  # noqa: RUF012


class SamplesBesideFrames(Asks):
    upstream = ("scenes",)
    asked = {"sample_seconds": 1.0, "frames": FrameSpec(48)}  # noqa: RUF012


class NoStep(Asks):
    upstream = ("scenes",)
    asked = {"sample_seconds": 0.0, "keyframes": True}  # noqa: RUF012


class NoRate(Asks):
    asked = {"audio_rate": 0}  # noqa: RUF012


class NoSide(Asks):
    upstream = ("scenes",)

    def streams(self) -> Streams:
        return Streams(frames=FrameSpec(0))


class ScenesForNothing(Expert):
    upstream = ("scenes",)


class Nothing(Expert):
    pass


class TablesAndSound(Reads):
    upstream = ("ocr",)

    def streams(self) -> Streams:
        return Streams(audio_rate=8000)


class NobodysTables(Reads):
    pass


class LoadsInVain(KeyframesAlone):
    upstream = ("scenes",)
    lane: Lane = "none"

    def load(self, resources: Resources) -> Model:
        return PassThrough()


class OneName(KeyframesAlone):
    upstream = "scenes"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("cls", "fix"),
    [
        (KeyframesAlone, 'add upstream = ("scenes",)'),
        (FramesAlone, 'add upstream = ("scenes",)'),
        (PicturesAndSound, 'add upstream = ("scenes",)'),
        (SamplesAlone, "add keyframes=True"),
        (SamplesBesideFrames, "add keyframes=True"),
        (NoStep, "allowed: above 0"),
        (NoRate, "allowed: 1 Hz or more"),
        (NoSide, "allowed: 1 pixel or more"),
        (ScenesForNothing, "add what its tap needs to streams(), or add read_tables()"),
        (Nothing, "add what its tap needs to streams(), or add read_tables()"),
        (TablesAndSound, "remove streams() or read_tables()"),
        (NobodysTables, "add those that write the tables to upstream"),
        (LoadsInVain, "load() is never called"),
        (OneName, "upstream = ('scenes',)"),
    ],
)
def test_a_contradiction_is_refused_in_a_line_that_says_what_to_change(cls: type[Expert], fix: str) -> None:
    with pytest.raises(ExpertError) as refused:
        cls()
    assert fix in str(refused.value) and "\n" not in str(refused.value)
    assert str(refused.value).startswith("expert 'test_declarations'")


@pytest.mark.parametrize(
    ("upstream", "streams", "fix"),
    [
        ('("ocr",)', "keyframes=True", "it cannot read the tables of ocr: remove"),
        ('("scenes", "whisper")', "keyframes=True", "it cannot read the tables of whisper: remove"),
        ('("whisper",)', "audio_rate=8000", "it cannot read the tables of whisper: remove"),
        ('("scenes", "cuts")', "keyframes=True", "several shot detectors"),
        ('("planted",)', "keyframes=True", "reads from itself"),
    ],
)
def test_upstream_must_give_what_is_asked_for(
    upstream: str, streams: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, monkeypatch, cuts="from extract.experts.scenes import Scenes\nclass Cuts(Scenes): pass\n")
    body = f"    upstream = {upstream}\n    def streams(self): return Streams({streams})\n"
    plant(tmp_path, monkeypatch, planted=PICTURES + body)
    with pytest.raises(ExpertError, match=fix) as refused:
        with_upstream(["planted"])
        make_expert("planted")
    assert "\n" not in str(refused.value)


def plant(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """Experts of these names, until the test is over."""
    for name, code in files.items():
        (folder / f"{name}.py").write_text(code)
        monkeypatch.delitem(__import__("sys").modules, f"extract.experts.{name}", raising=False)
    monkeypatch.setattr(extract.experts, "__path__", [*extract.experts.__path__, str(folder)])


class FollowsScenes(Asks):
    upstream = ("scenes",)
    asked = {"audio_rate": 8000}  # noqa: RUF012


def test_the_streams_that_are_asked_for_decide_what_is_missing() -> None:
    """An expert that cuts sound at shots has nothing in a silent film, though that has scenes."""
    expert = FollowsScenes()
    assert expert.media_streams == ("audio",) and expert.follows_scenes
    assert (expert.missing_stream(SILENT), expert.missing_stream(SOUND)) == ("no audio stream", None)


@pytest.mark.parametrize("name", expert_names())
def test_reading_the_video_has_one_answer(name: str) -> None:
    expert = make_expert(name)
    assert expert.reads_media == bool(expert.media_streams)
    nothing = MediaInfo("a.mkv", 1, "mkv", 1.0, has_video=False, has_audio=False)
    assert (expert.missing_stream(nothing) is not None) == expert.reads_media
    assert ("video" in expert.media_streams) >= expert.follows_scenes

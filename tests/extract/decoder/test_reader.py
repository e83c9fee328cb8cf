"""How often a video is decoded, counted: once for all experts, and a second look only where it must."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from extract.decoder.messages import DecodeJob, ExpertFailed, ItemReady, Message
from extract.decoder.reader import read_video
from extract.detectors.transnetv2 import LocalPredictor
from extract.experts.scenes import scene_from_row
from extract.media import stream as stream_module
from extract.media.probe import probe
from extract.media.stream import DecodeCounts
from extract.registry import expert_names, make_expert
from extract.types import AudioBlock, Item, Scene, Sound

pytestmark = pytest.mark.usefixtures("planted_experts")

TRAILERS = ("the_last_orchard", "el_faro_de_sal")
DETECTORS = ("content", "transnetv2")
Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Read:
    """One video read: its facts, what it took, and every expert's items in order."""

    facts: Mapping[str, Any]
    counts: DecodeCounts
    items: Rows

    @property
    def scenes(self) -> tuple[Scene, ...]:
        return tuple(scene_from_row({**item, **item["columns"]}) for item in self.items["scenes"])


def stub_network(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """In the place of TransNetV2, which is slow here: certain of a cut where thumbnails change much."""
    change = np.abs(np.diff(windows[:, 25:76].astype(np.float32), axis=1)).mean(axis=(2, 3, 4))
    cuts: NDArray[np.float32] = (change > 25).astype(np.float32)
    return cuts


def read(
    path: Path,
    *experts: str,
    detector: str = "content",
    keep: Callable[[Item], dict[str, Any]] | None = None,
    **job: Any,
) -> Read:
    """Read a video in this process; no model is loaded, the taps are real. ``keep``: what of each item."""
    items: Rows = {}

    def send(message: Message) -> None:
        assert not isinstance(message, ExpertFailed), message
        if isinstance(message, ItemReady):
            items.setdefault(message.expert, []).append((keep or plain)(message.item))

    options = {"detector": detector}
    chosen = {name: options if name == "scenes" else {} for name in experts}
    request = DecodeJob(
        path=os.fsencode(path), experts=chosen, shot_service="scenes", shot_options=options, **job
    )
    facts, counts = read_video(request, send, LocalPredictor(stub_network), lambda: None)
    return Read(facts, counts, items)


def plain(item: Item) -> dict[str, Any]:
    """An item in a form whose equality is that of every bit."""
    arrays = {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in item.arrays.items()}
    times = {"start_seconds": item.start_seconds, "end_seconds": item.end_seconds}
    return {**times, "arrays": arrays, "columns": dict(item.columns), "table": item.table}


@cache
def first_look(path: Path) -> Read:
    """What several tests begin with."""
    return read(path, "scenes", "trouble", "spectrogram")


def media_experts() -> list[str]:
    return [name for name in expert_names() if make_expert(name).reads_media]


@pytest.mark.parametrize(("name", "detector"), [("el_faro_de_sal", "transnetv2")])
def test_all_experts_together_decode_a_trailer_once(media: Path, name: str, detector: str) -> None:
    experts = media_experts()
    assert {"scenes", "clip", "ocr", "lowlevel", "panns", "spectrogram", "whisper", "trouble"} <= set(experts)
    trailer = media / "trailers" / "dev" / f"{name}.mp4"
    # All stacks of frames of a minute together are gigabytes: only how many there were is kept.
    got = read(trailer, *experts, detector=detector, keep=lambda _: {})
    assert len(got.items["scenes"]) == len(got.items["trouble"]) > 10
    assert got.facts["frames"] <= got.counts.pictures_decoded <= 1.1 * got.facts["frames"]


@pytest.mark.parametrize("detector", DETECTORS)
def test_scenes_that_fit_the_buffer_cost_no_second_look(small_trailers: list[Path], detector: str) -> None:
    got = read(small_trailers[0], "scenes", "trouble", "lowlevel", detector=detector)
    assert got.counts.pictures_decoded == got.facts["frames"] == 54
    assert got.counts.seeks == 0


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_tiny_buffer_costs_second_looks_and_changes_no_bit(
    small_trailers: list[Path], detector: str
) -> None:
    experts = ("scenes", "trouble", "lowlevel", "clip")
    for path in small_trailers:
        usual = read(path, *experts, detector=detector)
        tiny = read(path, *experts, detector=detector, buffer_bytes=1)
        assert tiny.counts.seeks > 0 and tiny.counts.pictures_decoded > usual.counts.pictures_decoded
        assert tiny.items == usual.items
        assert tiny.facts == usual.facts


def test_stored_scenes_and_sound_together_fail_no_expert_of_pictures(media: Path) -> None:
    """No frame passes then but those that are sought; that is not a stream that gave nothing."""
    path = media / "trailers" / "dev" / f"{TRAILERS[0]}.mp4"
    first = first_look(path)
    later = read(path, "trouble", "spectrogram", scenes=first.scenes)
    assert later.items == {name: first.items[name] for name in ("trouble", "spectrogram")}


def test_sound_added_later_decodes_no_picture(media: Path) -> None:
    path = media / "trailers" / "dev" / f"{TRAILERS[0]}.mp4"
    first = first_look(path)
    later = read(path, "spectrogram", scenes=first.scenes)
    assert later.counts.pictures_decoded == later.counts.video_packets == 0
    assert later.items["spectrogram"] == first.items["spectrogram"]


@pytest.mark.parametrize("name", TRAILERS)
def test_keyframes_added_later_decode_only_what_leads_to_them(media: Path, name: str) -> None:
    path = media / "trailers" / "dev" / f"{name}.mp4"
    first = first_look(path)
    later = read(path, "trouble", scenes=first.scenes)
    assert 0 < later.counts.pictures_decoded < first.counts.pictures_decoded
    assert later.counts.samples_decoded == 0
    assert later.items == {"trouble": first.items["trouble"]}


def test_each_expert_hears_its_own_downmix(tmp_path: Path) -> None:
    """A tone in the centre of 5.1 alone: a sixth of it by the mean, 0.293 of it by FFmpeg's weights."""
    rate, path = 16_000, tmp_path / "centre.wav"
    samples = np.zeros((2 * rate, 6), np.float32)
    samples[:, 2] = np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("pcm_f32le", rate=rate, layout="5.1")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "flt", "5.1")
        frame.sample_rate, frame.pts = rate, 0
        out.mux([*stream.encode(frame), *stream.encode(None)])
    heard: dict[str, list[NDArray[np.float32]]] = {"mean": [], "ffmpeg": []}
    sounds = [make_expert(name).streams().sound for name in ("whisper", "beats")]
    assert sounds == [Sound(rate, "ffmpeg"), Sound(rate, "mean")]
    for block in stream_module.read(
        path,
        media=probe(path),
        video=False,
        sounds=[sound for sound in sounds if sound],
        counts=DecodeCounts(),
    ):
        assert isinstance(block, AudioBlock)
        heard[block.downmix].append(block.samples)
    for downmix, weight in (("mean", 1 / 6), ("ffmpeg", 0.29289)):
        mixed = np.concatenate(heard[downmix])
        assert np.sqrt((mixed**2).mean()) == pytest.approx(weight * 0.5**0.5, rel=1e-3)

"""The lowlevel expert's rows: what belongs to which scene, and what does not matter."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.errors import UsageError
from extract.expert import PassThrough
from extract.ops.picture.descriptors import DESCRIPTOR_NAMES
from extract.ops.picture.visual_descriptors import keyframe_colours
from extract.registry import make_expert
from extract.types import AudioBlock, Frame, Item, MediaInfo, Row, Scene

FPS, RATE = 25, 44_100
CUTS = (0, 70, 100, 104, 210)
DOCUMENT = Path(__file__).parents[3] / "docs" / "descriptors.md"


@dataclass(frozen=True)
class Film:
    """Scenes of random brightness and loudness; a moving patch in the second one."""

    frames: NDArray[np.uint8]
    samples: NDArray[np.float32]
    keyframes: list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def film() -> Film:
    rng = np.random.default_rng(0)
    frames = np.empty((CUTS[-1], 48, 64), np.uint8)
    samples = np.empty(CUTS[-1] * RATE // FPS, np.float32)
    keyframes = []
    for n, (start, end) in enumerate(pairwise(CUTS)):
        frames[start:end] = rng.integers(0, 60 * (n + 1), (48, 64))
        heard = slice(start * RATE // FPS, end * RATE // FPS)
        samples[heard] = rng.normal(0, 0.05 * (n + 1), heard.stop - heard.start)
        keyframes.append(rng.integers(0, 60 * (n + 1), (96, 128, 3)).astype(np.uint8))
    for i in range(70, 100):
        frames[i] = np.roll(frames[70], 3 * (i - 70), axis=1)
        frames[i, 12:36, 16:48] = rng.integers(0, 120, (24, 32))
    return Film(frames, samples, keyframes)


def scene(n: int) -> Scene:
    start, end = CUTS[n], CUTS[n + 1]
    middle = (start + end) // 2
    return Scene(n, start, end, start / FPS, end / FPS, middle, middle, middle / FPS, (middle + 1) / FPS)


def items_of(
    film: Film,
    *,
    block: int = 1024,
    announced_after: int = 75,
    audio_lag_seconds: float = 0.0,
    descriptors: str = "all",
    has_video: bool = True,
    has_audio: bool = True,
) -> list[Item]:
    media = MediaInfo("x.mp4", 0, "mp4", None, has_video=has_video, has_audio=has_audio)
    tap = make_expert("lowlevel", {"descriptors": descriptors}).tap(media)
    samples = film.samples if has_audio and descriptors == "all" else film.samples[:0]
    items: list[Item] = []
    heard, announced = 0, 0

    def listen(until_seconds: float) -> None:
        nonlocal heard
        while heard < len(samples) and heard / RATE < until_seconds:
            items.extend(tap.audio(AudioBlock(samples[heard : heard + block], RATE, heard / RATE)))
            heard += block

    def announce(seen: int) -> None:
        nonlocal announced
        while announced < len(CUTS) - 1 and CUTS[announced + 1] <= seen:
            n = announced
            shown = scene(n).keyframe_start_seconds, scene(n).keyframe_end_seconds
            items.extend(tap.scene(scene(n), Frame(film.keyframes[n], scene(n).keyframe, *shown)))
            announced += 1

    if has_video:
        for i, image in enumerate(film.frames):
            items.extend(tap.frame(Frame(image, i, i / FPS, (i + 1) / FPS)))
            listen(i / FPS - audio_lag_seconds)
            announce(i + 1 - announced_after)
        announce(CUTS[-1])
    listen(np.inf)
    items.extend(tap.close())
    return items


def named(item: Item) -> dict[str, float]:
    return dict(zip(DESCRIPTOR_NAMES, item.arrays["embedding"].tolist(), strict=True))


def assert_same(one: list[Item], other: list[Item]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert (a.start_seconds, a.end_seconds, a.table) == (b.start_seconds, b.end_seconds, b.table)
        np.testing.assert_array_equal(list(a.columns.values()), list(b.columns.values()))
        np.testing.assert_array_equal(a.arrays["embedding"], b.arrays["embedding"])


@pytest.fixture(scope="module")
def items(film: Film) -> list[Item]:
    return items_of(film)


def test_a_row_for_each_scene_and_one_for_the_video(items: list[Item]) -> None:
    assert [i.table for i in items] == [None] * 4 + ["lowlevel_video"]
    assert [i.columns["scene"] for i in items[:-1]] == [0, 1, 2, 3]
    assert [(i.start_seconds, i.end_seconds) for i in items[:-1]] == [
        (a / FPS, b / FPS) for a, b in pairwise(CUTS)
    ]
    assert items[-1].start_seconds == 0
    assert items[-1].end_seconds == pytest.approx(CUTS[-1] / FPS, abs=1e-6)


def test_rows_match_the_declared_tables(items: list[Item]) -> None:
    tables = make_expert("lowlevel").tables()
    rows: list[list[Row]] = PassThrough()(items)
    for item, (row,) in zip(items, rows, strict=True):
        spec = tables[item.table or "lowlevel"]
        assert set(row) == {"start_seconds", "end_seconds", "embedding", *(c.name for c in spec.columns)}
        assert spec.embedding is not None and spec.embedding.float32
        assert row["embedding"].shape == spec.embedding.shape
        assert row["embedding"].dtype == np.float32


@pytest.mark.parametrize("announced_after", [0, 5, 75, 1000])
def test_neither_blocks_nor_the_announcement_nor_late_sound_matter(
    film: Film, items: list[Item], announced_after: int
) -> None:
    for block, lag in ((333, 0.0), (50_000, 2.0), (1024, 1000.0)):
        other = items_of(film, block=block, announced_after=announced_after, audio_lag_seconds=lag)
        assert_same(other, items)


def test_picture_values_are_those_of_the_scene_s_own_frames(film: Film, items: list[Item]) -> None:
    for n, item in enumerate(items[:-1]):
        frames = film.frames[CUTS[n] : CUTS[n + 1]].astype(np.float64) / 255
        found = named(item)
        assert found["luma_mean"] == pytest.approx(frames.mean(), rel=1e-5)
        assert found["luma_contrast_mean"] == pytest.approx(frames.std(axis=(1, 2)).mean(), rel=1e-5)
        difference = np.abs(np.diff(frames, axis=0)).mean()
        assert found["frame_difference_mean"] == pytest.approx(difference, rel=1e-5, abs=1e-9)


def test_sound_values_are_those_of_the_scene_s_own_windows(film: Film, items: list[Item]) -> None:
    count = len(film.samples) // 2048
    windows = film.samples[: count * 2048].reshape(count, 2048).astype(np.float64)
    rms = np.sqrt((windows**2).mean(axis=1))
    middles = (np.arange(count) + 0.5) * 2048 / RATE
    for item in items[:-1]:
        inside = rms[(middles >= item.start_seconds) & (middles < item.end_seconds)]
        assert named(item)["rms_mean"] == pytest.approx(inside.mean(), rel=1e-5)
        assert named(item)["rms_std"] == pytest.approx(inside.std(), rel=1e-4)
    assert named(items[-1])["rms_mean"] == pytest.approx(rms.mean(), rel=1e-5)


def test_rasheed_s_four(film: Film, items: list[Item]) -> None:
    still, moving, short, _ = items[:-1]
    assert still.columns["motion_content"] == 0
    assert moving.columns["motion_content"] > 0.2
    assert np.isnan(short.columns["motion_content"])  # four frames: too few for the tensor
    lengths = np.diff(CUTS) / FPS
    assert [i.columns["shot_length_seconds"] for i in items[:-1]] == pytest.approx(lengths)
    video = items[-1].columns
    assert video["scenes"] == 4
    assert video["average_shot_length_seconds"] == pytest.approx(lengths.mean())
    assert video["shot_length_std_seconds"] == pytest.approx(lengths.std())
    colours = [keyframe_colours(k) for k in film.keyframes]
    for item, colour in zip(items, colours, strict=False):
        covariance = np.cov(colour.luv.T.astype(np.float64), bias=True)
        assert item.columns["colour_variance"] == pytest.approx(np.linalg.det(covariance), rel=1e-6)
        assert item.columns["lighting_key"] == pytest.approx(colour.lighting_key)
    pixels = np.concatenate([c.luv for c in colours]).astype(np.float64)
    expected = np.linalg.det(np.cov(pixels.T, bias=True))
    assert video["colour_variance"] == pytest.approx(expected, rel=1e-6)
    assert video["lighting_key"] == pytest.approx(np.mean([c.lighting_key for c in colours]))
    assert 0 < video["motion_content"] < moving.columns["motion_content"]


def test_without_sound_its_values_alone_are_nan(film: Film, items: list[Item]) -> None:
    silent = items_of(film, has_audio=False)
    first_sound = DESCRIPTOR_NAMES.index("rms_mean")
    for item, heard in zip(silent, items, strict=True):
        assert np.isnan(item.arrays["embedding"][first_sound:]).all()
        np.testing.assert_array_equal(
            item.arrays["embedding"][:first_sound], heard.arrays["embedding"][:first_sound]
        )


def test_black_and_silent_is_measured(film: Film) -> None:
    black = Film(film.frames * 0, film.samples * 0, [k * 0 for k in film.keyframes])
    for item in items_of(black):
        if item.columns.get("scene") != 2:  # the one of four frames
            assert np.isfinite(item.arrays["embedding"]).all()
            assert np.isfinite(list(item.columns.values())).all()


def test_sound_alone_gives_one_row_of_the_video(film: Film, items: list[Item]) -> None:
    (item,) = items_of(film, has_video=False)
    first_sound = DESCRIPTOR_NAMES.index("rms_mean")
    assert item.table == "lowlevel_video"
    assert item.columns["scenes"] == 0 and np.isnan(item.columns["colour_variance"])
    assert np.isnan(item.arrays["embedding"][:first_sound]).all()
    np.testing.assert_array_equal(
        item.arrays["embedding"][first_sound:], items[-1].arrays["embedding"][first_sound:]
    )


def test_rasheed_alone_reads_no_sound(film: Film, items: list[Item]) -> None:
    expert = make_expert("lowlevel", {"descriptors": "rasheed"})
    assert expert.streams().audio_rate is None
    assert all(spec.embedding is None for spec in expert.tables().values())
    for item, full in zip(items_of(film, descriptors="rasheed"), items, strict=True):
        assert not item.arrays
        np.testing.assert_array_equal(list(item.columns.values()), list(full.columns.values()))


def test_what_is_kept_does_not_grow_with_the_length(film: Film) -> None:
    media = MediaInfo("x.mp4", 0, "mp4", None, has_video=True, has_audio=True)
    tap = make_expert("lowlevel").tap(media)
    second = film.samples[:RATE]
    sizes = []
    for n in range(60):  # scenes of a second
        for i in range(n * FPS, (n + 1) * FPS):
            tap.frame(Frame(film.frames[0], i, i / FPS, (i + 1) / FPS))
        tap.audio(AudioBlock(second, RATE, float(n)))
        shot = replace(scene(0), index=n, start_frame=n * FPS, end_frame=(n + 1) * FPS, keyframe=n * FPS)
        shot = replace(shot, start_seconds=float(n), end_seconds=n + 1.0)
        tap.scene(shot, Frame(film.keyframes[0], 0, 0.0, 1.0))
        sizes.append(len(pickle.dumps(tap)))
    assert max(sizes[30:]) <= max(sizes[:30]) * 1.01


def test_a_stored_scene_that_ends_behind_the_last_frame_still_has_its_row(film: Film) -> None:
    media = MediaInfo("x.mp4", 0, "mp4", None, has_video=True, has_audio=True)
    tap = make_expert("lowlevel").tap(media)
    for i in range(40):
        assert not list(tap.frame(Frame(film.frames[i], i, i / FPS, (i + 1) / FPS)))
    assert not list(tap.scene(scene(0), Frame(film.keyframes[0], 35, 1.4, 1.44)))
    row, video = tap.close()
    assert named(row)["luma_mean"] == pytest.approx(film.frames[:40].mean() / 255, rel=1e-5)
    assert video.columns["scenes"] == 1


def test_an_unknown_set_is_refused() -> None:
    with pytest.raises(UsageError, match=r"descriptors.*'jaudio'.*allowed: all, rasheed"):
        make_expert("lowlevel", {"descriptors": "jaudio"})


def test_the_document_lists_every_name_in_order() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").split("### `embedding`")[1].split("## `spectrogram`")[0]
    found: list[str] = []
    for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE):
        names = re.findall(r"`(\w+)`", cell)
        if " to " in cell or "…" in cell:
            found += expand(names)
        else:
            found += names
    assert tuple(found) == DESCRIPTOR_NAMES
    words = " ".join(DOCUMENT.read_text(encoding="utf-8").split())
    assert f"{len(DESCRIPTOR_NAMES)} float32 values" in words


def expand(names: list[str]) -> list[str]:
    """``a_0, a_2`` to ``a_0, a_1, a_2``; ``a_0_m, a_0_s, a_2_m, a_2_s`` likewise."""
    half = len(names) // 2
    first, last = (int(re.findall(r"\d+", n)[0]) for n in (names[0], names[-1]))
    return [
        re.sub(r"\d+", str(number), name, count=1)
        for number in range(first, last + 1)
        for name in names[:half]
    ]

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from extract.detectors.pyscenedetect import AdaptiveDetector, ContentDetector
from extract.experts.scenes import Scenes, ScenesOptions
from extract.media.picture import Picture
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read


def black_and_white(length: int, cuts: list[int]) -> list[np.ndarray]:
    """Images of 32x18 that turn from black to white, or back, at every cut."""
    colours = np.cumsum(np.isin(np.arange(length), cuts)) % 2 * 255
    return [np.full((18, 32, 3), colour, np.uint8) for colour in colours]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty noisy shots of 4 to 40 frames, wide enough to be scaled down."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    rng = np.random.default_rng(5)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 384, 216, "yuv420p", 4_000_000
        for length in rng.integers(4, 41, 20):
            shot = np.kron(rng.integers(0, 230, (9, 16, 3)), np.ones((24, 24, 1)))
            for _ in range(length):
                image = (shot + rng.integers(0, 25, shot.shape)).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def ours(path: Path) -> list[Picture]:
    stream = read(str(path), media=probe(str(path)), video=True, sounds=(), counts=DecodeCounts())
    return [piece for piece in stream if isinstance(piece, Picture)]


@pytest.mark.parametrize("name", ["ContentDetector", "AdaptiveDetector"])
def test_same_scenes_as_the_package_alone(name: str, film: Path, detect: Any) -> None:
    import scenedetect

    video = scenedetect.open_video(str(film), backend="pyav")
    manager = scenedetect.SceneManager()
    manager.add_detector(getattr(scenedetect, name)())
    manager.detect_scenes(video)
    theirs = [(start.frame_num, end.frame_num) for start, end in manager.get_scene_list()]
    assert 5 < len(theirs) < 20, "some of the twenty shots are too short to stand alone"
    detector = {"ContentDetector": ContentDetector, "AdaptiveDetector": AdaptiveDetector}[name]()
    assert detect(detector, ours(film)) == theirs


def encode(path: Path, times: list[int], *, aspect: Fraction | None = None) -> Path:
    """Noise that changes at every fifth picture; shown at ``times`` in milliseconds."""
    rng = np.random.default_rng(8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 720, 400, "yuv420p", 4_000_000
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for number, time in enumerate(times):
            if number % 5 == 0:
                shot = np.kron(rng.integers(0, 230, (100, 180, 3)), np.ones((4, 4, 1)))
            frame = av.VideoFrame.from_ndarray(shot.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("aspect", [None, Fraction(16, 11)])
def test_the_package_sees_what_its_own_reader_shows(aspect: Fraction | None, tmp_path: Path) -> None:
    import scenedetect

    class Recorder(scenedetect.ContentDetector):
        def process_frame(self, timecode: Any, frame_img: np.ndarray) -> list[Any]:
            images.append(frame_img)
            return []

    images: list[np.ndarray] = []
    film = encode(tmp_path / "film.mkv", [40 * i for i in range(12)], aspect=aspect)
    scenedetect.detect(str(film), Recorder(), backend="pyav")
    mine = ContentDetector()
    assert len(images) == 12 and images[0].shape == (142, 256, 3)
    for theirs, picture in zip(images, ours(film), strict=True):
        np.testing.assert_array_equal(mine._image(picture), theirs)


@pytest.mark.parametrize("name", ["content", "adaptive"])
def test_same_cuts_as_the_package_where_the_frame_rate_varies(name: str, tmp_path: Path) -> None:
    import scenedetect

    times = np.cumsum([0, *([20] * 59), *([120] * 59), *([40] * 60)]).tolist()
    film = encode(tmp_path / "film.mkv", times)
    package = {"content": scenedetect.ContentDetector, "adaptive": scenedetect.AdaptiveDetector}[name]
    theirs = [start.seconds for start, _ in scenedetect.detect(str(film), package(), backend="pyav")]
    detector = Scenes(ScenesOptions(detector=name)).make_detector(probe(str(film)), None)  # type: ignore[arg-type]
    pictures = ours(film)
    closed = [scene for picture in pictures for scene in detector.push(picture)] + detector.finish()
    assert [pictures[start].start_seconds for start, _ in closed] == pytest.approx(theirs, abs=0.002)
    assert len(theirs) > 5


# A slow part (5 pictures a second) with cuts after 1.2 s and more, then a fast one (50 a second)
# with a cut after 30 pictures, which are 0.6 s.
VARIABLE_TIMES = [*np.arange(30) * 0.2, *(6 + np.arange(130) * 0.02)]
VARIABLE_CUTS = [8, 14, 30, 60]


@pytest.mark.parametrize("detector", [ContentDetector, AdaptiveDetector])
@pytest.mark.parametrize("origin", [0.0, -0.7, 100.0])
def test_seconds_are_seconds_where_the_frame_rate_varies(
    detector: Any, origin: float, pictures: Any, detect: Any
) -> None:
    film = pictures(black_and_white(160, VARIABLE_CUTS), [origin + t for t in VARIABLE_TIMES])
    in_seconds = detect(detector(min_scene_seconds=1.0), film)
    assert [start for start, _ in in_seconds] == [0, 8, 14, 30]
    in_frames = detect(detector(), film)
    assert [start for start, _ in in_frames] == [0, 30, 60]


def test_a_length_that_is_met_exactly_counts(pictures: Any, detect: Any) -> None:
    times = [i / 30 for i in range(120)]  # thirds of tenths: no binary fraction meets them
    film = pictures(black_and_white(120, [31, 46, 61, 76]), times)
    found = detect(ContentDetector(min_scene_seconds=0.5), film)
    assert [start for start, _ in found] == [0, 31, 46, 61, 76]


def test_merged_cuts_come_late_but_never_before_settled(pictures: Any, detect: Any) -> None:
    film = pictures(black_and_white(90, [20, 25, 32, 40]))
    assert detect(ContentDetector(), film) == [(0, 20), (20, 40), (40, 90)]
    assert detect(ContentDetector(min_scene_seconds=0.6), film) == [(0, 20), (20, 40), (40, 90)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("detector", [ContentDetector, AdaptiveDetector])
@pytest.mark.parametrize("seconds", [None, 0.0, 0.3])
def test_any_rhythm_keeps_the_promises(
    detector: Any, seconds: float | None, seed: int, pictures: Any, detect: Any
) -> None:
    rng = np.random.default_rng(seed)
    cuts = np.flatnonzero(rng.random(300) < rng.choice([0.02, 0.1, 0.4])).tolist()
    times = np.cumsum(rng.choice([0.01, 0.04, 0.2], 300))
    film = pictures(black_and_white(300, cuts), times)
    found = detect(detector(min_scene_seconds=seconds), film)
    assert found[0][0] == 0 and found[-1][1] == 300
    assert all(a[1] == b[0] for a, b in pairwise(found))
    assert {start for start, _ in found[1:]} <= set(cuts)


def test_a_stream_that_changes_its_size_goes_on(pictures: Any, detect: Any) -> None:
    film = pictures(black_and_white(60, [30]))
    larger = pictures([np.kron(i, np.ones((2, 2, 1), np.uint8)) for i in black_and_white(60, [30])])
    mixed = film[:40] + [Picture(p.raw, film[0].view, p.index, p.pts, 0, 0) for p in larger[40:]]
    assert detect(ContentDetector(), mixed) == [(0, 30), (30, 60)]

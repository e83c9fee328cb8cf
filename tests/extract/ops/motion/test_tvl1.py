"""TV-L1 against OpenCV: stored flows, flows computed here, and each step by itself."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from extract.errors import MissingDependency
from extract.expert import Resources
from extract.experts.flow import Flow
from extract.experts.i3d import I3d, I3dOptions
from extract.ops.motion.tvl1 import VARIANTS, Tvl1Options, reference, resize, tvl1, tvl1_scales

if TYPE_CHECKING:
    from tests.conftest import Parity

PAIRS = 6
BACKENDS: tuple[Literal["reference", "numba"], ...] = ("reference", "numba")
Image = NDArray[np.uint8]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def texture(seed: int, height: int = 96, width: int = 128) -> Image:
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.asarray((128 + 40 * smooth / smooth.std()).clip(0, 255), np.uint8)


def moved(image: Image, dx: float, dy: float) -> Image:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = image.shape[::-1]
    return np.asarray(
        cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    )


def batch(*images: Image) -> torch.Tensor:
    return torch.from_numpy(np.stack(images))


def opencv(first: Image, second: Image, options: Tvl1Options | None = None) -> NDArray[np.float32]:
    """A new object each time: one that has seen a small picture keeps fewer scales. (2, H, W)."""
    options = options or Tvl1Options()
    method = cv2.optflow.DualTVL1OpticalFlow_create(  # type: ignore[attr-defined]
        nscales=options.scales,
        warps=options.warps,
        epsilon=options.epsilon,
        innnerIterations=options.inner_iterations,
        outerIterations=options.outer_iterations,
        scaleStep=options.scale_step,
        medianFiltering=5 if options.median else 1,
    )
    return np.asarray(method.calc(first, second, None)).transpose(2, 0, 1)


def endpoint_errors(mine: Any, other: Any) -> NDArray[np.float32]:
    return np.asarray(np.linalg.norm(np.asarray(mine) - np.asarray(other), axis=0))


@pytest.fixture(scope="module")
def three_pairs() -> tuple[torch.Tensor, torch.Tensor]:
    """A pair that moves, one that stands still (and converges at once), one without relation."""
    a, b, c = texture(1), texture(2), texture(3)
    return batch(a, b, c), batch(moved(a, 3.3, -2.1), b, texture(4))


@pytest.mark.parametrize("pair", range(PAIRS))
def test_opencvs_flow_within_the_published_limits(pair: int, parity: Parity) -> None:
    stored = parity.reference("tvl1")
    first, second = (torch.from_numpy(stored[f"pair{pair}_{which}"])[None] for which in "ab")
    flow = tvl1(first, second)[0].numpy()
    errors = endpoint_errors(flow[:, ::3, ::3], stored[f"pair{pair}_flow_sub"].transpose(2, 0, 1))
    limits = parity.tolerances["tvl1"][f"pair{pair}, another implementation: endpoint error in px"]
    assert np.median(errors) <= limits["median"]
    assert errors.mean() <= limits["mean"]
    assert np.percentile(errors, 95) <= limits["p95"]
    if pair == 0:
        assert endpoint_errors(flow, stored["pair0_flow"].transpose(2, 0, 1)).mean() <= limits["mean"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [(96, 128), (40, 24), (18, 18)])
def test_sizes_and_the_end_of_the_pyramid(size: tuple[int, int], backend: Any) -> None:
    """(18, 18) has one scale: 14 is below 16."""
    first = texture(5, *size)
    second = moved(first, 1.2, 0.7)
    options = Tvl1Options(warps=2, outer_iterations=3)
    mine, scales = tvl1_scales(batch(first), batch(second), options=options, backend=backend)
    errors = endpoint_errors(mine[0], opencv(first, second, options))
    assert np.median(errors) < 0.01
    assert errors.mean() < 0.05
    assert len(scales) == {18: 1, 40: 2, 96: 5}[size[0]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_fast_variant_is_opencvs_without_median_and_stop(backend: Any) -> None:
    first = texture(6)
    second = moved(first, -2.4, 1.6)
    mine, scales = tvl1_scales(batch(first), batch(second), options=VARIANTS["fast"], backend=backend)
    errors = endpoint_errors(mine[0], opencv(first, second, VARIANTS["fast"]))
    assert errors.mean() < 0.01
    assert [int(scale.iterations[0]) for scale in scales] == [90] * 5


@pytest.mark.parametrize("variant", ["default", "fast"])
def test_a_known_shift(variant: Any) -> None:
    first = texture(7)
    flow = tvl1(batch(first), batch(moved(first, 3.0, -2.0)), options=VARIANTS[variant])[0].numpy()
    middle = flow[:, 16:-16, 16:-16].reshape(2, -1)
    assert np.allclose(np.median(middle, axis=1), (3.0, -2.0), atol=0.1)


def test_still_pictures_have_no_flow() -> None:
    still = batch(texture(8))
    flow, scales = tvl1_scales(still, still)
    assert not flow.any()
    assert [int(scale.iterations[0]) for scale in scales] == [5] * 5, "each warp stops at once"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_flow_does_not_depend_on_the_batch(
    backend: Any, three_pairs: tuple[torch.Tensor, torch.Tensor]
) -> None:
    first, second = three_pairs
    options = Tvl1Options(scales=2, warps=2, outer_iterations=2)
    together = tvl1(first, second, options=options, backend=backend)
    alone = [tvl1(first[i : i + 1], second[i : i + 1], options=options, backend=backend) for i in range(3)]
    assert torch.equal(together, torch.cat(alone))
    order = [2, 0, 1]
    assert torch.equal(tvl1(first[order], second[order], options=options, backend=backend), together[order])


def test_threads_change_nothing(three_pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    flows = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        flows.append(tvl1(*three_pairs))
    torch.set_num_threads(1)
    assert torch.equal(*flows)


def test_the_backends_do_the_same(three_pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    options = Tvl1Options(scales=2, warps=2, outer_iterations=2)
    (a, done_a), (b, done_b) = (
        tvl1_scales(*three_pairs, options=options, backend=backend) for backend in BACKENDS
    )
    # torch's sampling positions are off by 1e-5 pixel; a median may then take another pixel's value.
    assert float((a[:2] - b[:2]).abs().mean()) < 1e-3
    assert float((a[2] - b[2]).abs().median()) < 1e-3  # without relation: unstable in places
    for of_a, of_b in zip(done_a, done_b, strict=True):
        assert torch.equal(of_a.iterations[:2], of_b.iterations[:2])


def test_float_input_is_in_the_unit_interval(three_pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    first, second = (images[:1] for images in three_pairs)
    options = Tvl1Options(scales=1, warps=1)
    of_bytes = tvl1(first, second, options=options)
    of_floats = tvl1(first.float() / 255, second.float() / 255, options=options)
    assert float((of_bytes - of_floats).abs().max()) < 1e-3


def test_an_empty_batch() -> None:
    nothing = torch.zeros((0, 20, 30), dtype=torch.uint8)
    assert tvl1(nothing, nothing).shape == (0, 2, 20, 30)


@pytest.mark.parametrize("size", [(16, 20), (77, 103), (256, 341)])
def test_resizing_is_opencvs(size: tuple[int, int]) -> None:
    image = texture(9, *size).astype(np.float32)
    tensor = torch.from_numpy(image)[None]
    for level in resize.pyramid(tensor, Tvl1Options(scale_step=0.8))[1:2]:
        expected = cv2.resize(image, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_LINEAR)
        assert np.abs(level[0].numpy() - expected).max() < 1e-3
    expected = cv2.resize(image, (size[1] + 17, size[0] + 11), interpolation=cv2.INTER_LINEAR)
    assert (
        np.abs(resize.resize_to(tensor, size[0] + 11, size[1] + 17, factor=1)[0].numpy() - expected).max()
        < 1e-3
    )


@pytest.mark.parametrize("rounded", [False, True], ids=["distinct values", "many ties"])
def test_the_median_is_opencvs(rounded: bool) -> None:
    from extract.ops.motion.tvl1 import numba_median

    field = np.random.default_rng(10).normal(0, 2, (2, 33, 50)).astype(np.float32)
    field = field.round() if rounded else field
    for plane in field:
        expected = cv2.medianBlur(plane, 5)
        assert np.array_equal(reference.median(torch.from_numpy(plane)[None])[0].numpy(), expected)
        mine = np.pad(plane, ((0, 0), (0, 1)), mode="edge")
        numba_median.median(mine)
        assert np.array_equal(mine, np.pad(expected, ((0, 0), (0, 1)), mode="edge"))


def test_the_divergence_is_the_adjoint_of_the_gradient() -> None:
    """<grad u, p> = -<u, div p> for every u, and every p that is zero where the gradient is."""
    rng = np.random.default_rng(11)
    u, px, py = (torch.from_numpy(rng.normal(size=(1, 9, 12))) for _ in range(3))
    px[:, :, -1] = py[:, -1] = 0
    dx, dy = u[:, :, 1:] - u[:, :, :-1], u[:, 1:] - u[:, :-1]
    inner = (dx * px[:, :, :-1]).sum() + (dy * py[:, :-1]).sum()
    assert torch.allclose(inner, -(u * reference.divergence(px, py)).sum())


@pytest.mark.parametrize("backend", BACKENDS)
def test_warping_is_opencvs_remap(backend: str) -> None:
    """Positions far outside included: zero there."""
    rng = np.random.default_rng(12)
    image = texture(13, 40, 52).astype(np.float32)
    u = rng.normal(0, 8, (2, 40, 52)).astype(np.float32)
    u[:, 0, :4] = 1e6, -1e6, 200, -200
    x, y = np.arange(52, dtype=np.float32) + u[0], np.arange(40, dtype=np.float32)[:, None] + u[1]
    expected = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
    if backend == "reference":
        both = torch.from_numpy(u)[:, None]
        mine = reference.warp(torch.from_numpy(image)[None, None], (both[0], both[1]))[0, 0].numpy()
    else:
        from extract.ops.motion.tvl1 import cpu

        target, data = np.repeat(image[:, :, None], 3, axis=2), np.empty((4, 40, 52), np.float32)
        padded = np.pad(u, ((0, 0), (0, 0), (0, 1)), mode="edge")
        cpu._linearise(np.zeros_like(image), target, padded, data)
        mine = data[0]
    assert np.abs(mine - expected).max() < 0.01
    assert not mine[0, :4].any()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (torch.zeros(1, 20, 20), torch.zeros(1, 20, 21)),
        (torch.zeros(1, 20, 20), torch.zeros(1, 20, 20, dtype=torch.uint8)),
        (torch.zeros(20, 20), torch.zeros(20, 20)),
        (torch.zeros(1, 20, 20, dtype=torch.float64), torch.zeros(1, 20, 20, dtype=torch.float64)),
        (torch.zeros(1, 1, 20), torch.zeros(1, 1, 20)),
    ],
    ids=["sizes", "types", "no batch", "float64", "a line"],
)
def test_other_pictures_are_refused(first: torch.Tensor, second: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="came"):
        tvl1(first, second)


@pytest.mark.parametrize("backend", ["opencv", "triton"])
def test_other_backends_are_refused(backend: Any) -> None:
    images = torch.zeros(1, 20, 20)
    with pytest.raises(ValueError, match="backend"):
        tvl1(images, images, backend=backend)


@pytest.mark.parametrize(
    "wrong",
    [{"scales": 0}, {"warps": 0}, {"scale_step": 1.0}, {"epsilon": -1}, {"inner_iterations": 0}],
    ids=str,
)
def test_other_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        Tvl1Options(**wrong)


def run_kernels(which: str) -> None:
    """Without a GPU, in a process of its own: Triton reads TRITON_INTERPRET when it is imported."""
    pytest.importorskip("triton")
    script = Path(__file__).parents[3] / "fixtures" / "tvl1_kernels.py"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4]), "OMP_NUM_THREADS": "1"}
    environment["TRITON_INTERPRET"] = "0" if which == "compile" else "1"
    command = [sys.executable, str(script), which]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_triton_kernels_do_what_the_reference_does() -> None:
    run_kernels("interpret")


def test_the_triton_kernels_compile_for_hopper() -> None:
    run_kernels("compile")


def test_the_launches_and_copies_of_a_batch() -> None:
    """Nothing but the pictures goes to the device, whatever the batch; every launch is one of our kernels."""
    run_kernels("launches")


def test_the_pairs_at_once_follow_the_free_memory() -> None:
    pytest.importorskip("triton")
    from extract.ops.motion.tvl1.cuda import bytes_for_a_pair, pairs_that_fit

    size, options, gigabyte = (256, 340), Tvl1Options(), 1 << 30
    assert 7.5e6 < bytes_for_a_pair(size, options) < 8e6  # what docs/tvl1.md says
    assert pairs_that_fit(1000, size, options, 80 * gigabyte) == 512
    assert pairs_that_fit(100, size, options, 80 * gigabyte) == 128
    assert pairs_that_fit(256, size, options, 1 * gigabyte) == 32
    assert pairs_that_fit(256, size, options, 0) == 1


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_gives_the_cpus_flow(three_pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    on_cpu = tvl1(*three_pairs)
    first, second = (images.cuda() for images in three_pairs)
    on_gpu = tvl1(first, second)
    for i in range(2):
        errors = endpoint_errors(on_gpu[i].cpu(), on_cpu[i])
        assert np.median(errors) < 0.02
        assert errors.mean() < 0.05
    alone = torch.cat([tvl1(first[i : i + 1], second[i : i + 1]) for i in range(3)])
    assert torch.equal(alone, on_gpu)
    assert torch.equal(tvl1(first, second), on_gpu)


@pytest.mark.parametrize(("device", "package"), [("cuda:0", "triton"), ("cpu", "numba")])
def test_the_slow_reference_is_never_taken_silently(
    device: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found when a model is loaded, before anything is decoded."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for load in (Flow().load, I3d(I3dOptions(modalities="flow")).load):
        with pytest.raises(MissingDependency, match=rf"{package}, not installed.*marquee-video\[flow\]"):
            load(Resources(device=device, random_seed=0))
    if device == "cpu":
        with pytest.raises(MissingDependency, match="numba"):
            tvl1(torch.zeros(1, 16, 16), torch.zeros(1, 16, 16))

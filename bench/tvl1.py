"""Frame pairs per second of TV-L1 at 340x256, beside OpenCV in the same run.

    python -m bench.tvl1 [--video FILE] [--first-frame N] [--pairs N] [--batch N]

OpenCV gets one thread for each core: whole pairs side by side, each on one thread. The pictures are
consecutive frames of the video, scaled to 340x256, or without one textures that move. Seconds of
processor time stand beside pairs per second: other programs disturb them less. On a GPU the bytes
that the kernels move, by the iterations that were done, stand against the time that a copy of as
many bytes takes there: the roofline.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from extract.ops.motion.tvl1 import VARIANTS, Scale, tvl1, tvl1_scales

WIDTH, HEIGHT = 340, 256
REPEATS = 3  # the best counts: other programs only ever make it slower
Images = NDArray[np.uint8]


def video_frames(path: Path, first: int, count: int) -> Images:
    """``count`` frames from frame ``first`` on, grey, (count, HEIGHT, WIDTH)."""
    import av

    with av.open(str(path)) as container:
        frames = [
            frame.to_ndarray(format="gray", width=WIDTH, height=HEIGHT)
            for frame in islice(container.decode(video=0), first, first + count)
        ]
    return np.stack(frames)


def moving_texture(count: int) -> Images:
    """Smooth noise under a slow zoom and shift, (count, HEIGHT, WIDTH)."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2 * HEIGHT, 2 * WIDTH)).astype(np.float32)
    canvas = sum(cv2.GaussianBlur(noise, (0, 0), s) * s for s in (1.5, 4.0, 12.0))
    canvas = (128 + 40 * canvas / np.std(canvas)).clip(0, 255).astype(np.uint8)
    frames = []
    for i in range(count):
        matrix = np.array([[1 + 0.01 * i, 0, -60 - 2.5 * i], [0, 1 + 0.01 * i, -40 + 1.5 * i]], np.float32)
        frames.append(cv2.warpAffine(canvas, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC))
    return np.stack(frames)


def opencv_flow(first: Images, second: Images) -> NDArray[np.float32]:
    """A new object for each pair, as its state leaks; (2, height, width)."""
    method = cv2.optflow.DualTVL1OpticalFlow_create()  # type: ignore[attr-defined]
    return np.asarray(method.calc(first, second, None)).transpose(2, 0, 1)


def opencv_flows(frames: Images, cores: int) -> NDArray[np.float32]:
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(cores) as pool:
        return np.stack(list(pool.map(opencv_flow, frames[:-1], frames[1:])))


def best(run: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, float]:
    """Seconds on the clock and of processor time, the least of each."""
    clock, processor = [], []
    for _ in range(repeats):
        began, used = time.perf_counter(), time.process_time()
        run()
        clock.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    return min(clock), min(processor)


def in_batches(frames: torch.Tensor, size: int, variant: Any) -> torch.Tensor:
    options = VARIANTS[variant]
    pairs = len(frames) - 1
    starts = range(0, pairs, size)
    flow = [tvl1(frames[:-1][i : i + size], frames[1:][i : i + size], options=options) for i in starts]
    if frames.is_cuda:
        torch.cuda.synchronize()
    return torch.cat(flow)


def endpoint_errors(mine: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """(pairs, height, width) in pixels, of flow (pairs, 2, height, width)."""
    return np.asarray(np.linalg.norm(mine - other, axis=1))


def compare(mine: NDArray[np.float32], other: NDArray[np.float32]) -> str:
    errors = endpoint_errors(mine, other)
    medians, means = np.median(errors, axis=(1, 2)), errors.mean(axis=(1, 2))
    return (
        f"end-point error against OpenCV over {len(errors)} pairs: mean {means.mean():.4f} px "
        f"(worst pair {means.max():.4f}), median {medians.mean():.4f} px"
    )


def bytes_moved(scales: Sequence[Scale]) -> float:
    """What the iteration kernels read and write, by the iterations that each pair needed.

    A launch reads nine fields of its tiles with their halo and writes six of their middles. Launches
    that were repeated because a pair converged inside them are left out, and so are warps and medians.
    """
    from extract.ops.motion.tvl1.cuda import HALO, TILE

    overlap = (TILE / (TILE - 2 * HALO)) ** 2
    launch = sum(
        float((scale.iterations / HALO).ceil().sum()) * scale.height * scale.width for scale in scales
    )
    return launch * 4 * (9 * overlap + 6)


def copy_bandwidth(device: str = "cuda", size: int = 1 << 30) -> float:
    """Bytes per second of a copy of ``size`` bytes on the device, reading and writing counted."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)

    def copy() -> None:
        target.copy_(source)
        if source.is_cuda:
            torch.cuda.synchronize()

    copy()
    return 2 * size / best(copy, 10)[0]


def on_gpu(frames: Images, batch: int, opencv: NDArray[np.float32]) -> None:
    if not torch.cuda.is_available():
        print("GPU: none here, so not measured")
        return
    many = torch.from_numpy(frames).cuda()
    many = torch.cat([many] * -(-(4 * batch) // (len(many) - 1)))[: 4 * batch + 1]
    print(f"GPU: {torch.cuda.get_device_name()}, batches of {batch}")
    for variant in VARIANTS:
        in_batches(many[: batch + 1], batch, variant)  # compiles
        seconds, _ = best(lambda v=variant: in_batches(many, batch, v))  # type: ignore[misc]
        print(f"  {variant}: {(len(many) - 1) / seconds:.0f} pairs/s")
        parts = [tvl1_scales(many[:-1], many[1:], options=VARIANTS[variant])[1]]
        moved, bandwidth = sum(map(bytes_moved, parts)), copy_bandwidth()
        print(
            f"  roofline: {moved / (len(many) - 1) / 1e6:.0f} MB a pair at {bandwidth / 1e9:.0f} GB/s "
            f"(measured on a copy): at most {(len(many) - 1) * bandwidth / moved:.0f} pairs/s; "
            f"{moved / seconds / bandwidth:.0%} of it reached"
        )
    flow = in_batches(torch.from_numpy(frames).cuda(), batch, "default").cpu().numpy()
    print(f"  {compare(flow, opencv)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="TV-L1 frame pairs per second beside OpenCV.")
    parser.add_argument("--video", type=Path, help="take frames of this file")
    parser.add_argument("--first-frame", type=int, default=100, help="of the video (default 100)")
    parser.add_argument("--pairs", type=int, default=12, help="pairs on the CPU (default 12)")
    parser.add_argument("--batch", type=int, default=256, help="pairs in a batch on the GPU (default 256)")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    count = arguments.pairs + 1
    first = arguments.first_frame
    frames = video_frames(arguments.video, first, count) if arguments.video else moving_texture(count)
    pairs = len(frames) - 1
    source = f"{arguments.video.name} from frame {first}" if arguments.video else "moving textures"
    print(f"{pairs} pairs of {WIDTH}x{HEIGHT}, {source}; {cores} cores, load {os.getloadavg()[0]:.1f}")

    flows: list[NDArray[np.float32]] = []
    clock, processor = best(lambda: flows.append(opencv_flows(frames, cores)))
    print(f"OpenCV {cv2.__version__}: {pairs / clock:.2f} pairs/s, {processor / pairs:.3f} CPU s a pair")
    tensor = torch.from_numpy(frames)
    for variant in VARIANTS:
        in_batches(tensor[:2], 1, variant)  # compiles
        mine, used = best(lambda v=variant: in_batches(tensor, pairs, v))  # type: ignore[misc]
        print(
            f"CPU, {variant}: {pairs / mine:.2f} pairs/s, {clock / mine:.1f} x OpenCV; "
            f"{used / pairs:.3f} CPU s a pair, {processor / used:.1f} x less"
        )
    print(f"  {compare(in_batches(tensor, pairs, 'default').numpy(), flows[0])}")
    on_gpu(frames, arguments.batch, flows[0])


if __name__ == "__main__":
    main()

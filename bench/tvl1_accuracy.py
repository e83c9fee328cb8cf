"""How far TV-L1 here is from OpenCV's on real videos, in pixels and in what I3D makes of it.

    python -m bench.tvl1_accuracy --media DIR [--pairs N] [--stacks N]

Pairs are neighbouring frames of one shot, spread evenly over the videos in DIR; across a cut the
solution is chaotic, and correct programs differ. A stack is 16 pairs in a row; its I3D feature is
computed from either flow, with random weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bench.tvl1 import opencv_flow
from extract.errors import MarqueeError
from extract.ops.tvl1 import tvl1

SHORT_SIDE = 256
STACK = 16
Grey = NDArray[np.uint8]


def frames_of(path: Path) -> list[Grey]:
    """Every frame, grey, with a short side of 256."""
    import av

    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        frames = []
        for frame in container.decode(video=0):
            scale = SHORT_SIDE / min(frame.width, frame.height)
            width, height = round(frame.width * scale), round(frame.height * scale)
            frames.append(np.asarray(frame.to_ndarray(format="gray", width=width, height=height), np.uint8))
    return frames


def runs(path: Path, frames: int, length: int) -> list[int]:
    """First frames of all runs of ``length`` frames that lie inside one shot and one picture size."""
    from extract.api import video

    shots = video(path, experts=["scenes"])["scenes"].to_pylist()
    ends = [(shot["start_frame"], min(shot["end_frame"], frames)) for shot in shots]
    return [first for start, end in ends for first in range(start, end - length + 1)]


def spread(places: Sequence[int], count: int) -> list[int]:
    """``count`` of ``places``, evenly, or all if they are fewer."""
    chosen = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    return [places[i] for i in chosen]


def videos(folder: Path) -> Iterator[tuple[Path, list[Grey], list[int]]]:
    """Videos that can be read, with their frames and the starts of stacks in them."""
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".mp4", ".webm", ".mkv", ".avi")):
        try:
            frames = frames_of(path)
            starts = runs(path, len(frames), STACK + 1)
        except (MarqueeError, OSError, ValueError):
            continue  # some files of a test folder are broken on purpose
        if starts:
            yield path, frames, starts


def both_flows(first: Grey, second: Grey) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    pair = (torch.from_numpy(image)[None] for image in (first, second))
    return tvl1(*pair)[0].numpy(), opencv_flow(first, second)


def features_cosine(frames: Sequence[Grey]) -> float:
    """Of the I3D features of one stack from either flow."""
    from extract.expert import Resources
    from extract.experts.i3d import CROP, I3d, I3dModel, I3dOptions, centre_square, scale_flow

    model = I3d(I3dOptions(modalities="flow", frames=STACK, step=STACK)).load(Resources(random_seed=0))
    assert isinstance(model, I3dModel)
    flows = zip(*(both_flows(a, b) for a, b in pairwise(frames)), strict=True)
    clips = np.stack(
        [scale_flow(centre_square(np.stack(f).transpose(0, 2, 3, 1), CROP, "floor"), "none") for f in flows]
    )
    mine, other = model.embed(model.networks["flow"], clips).astype(np.float64)
    return float(mine @ other / np.linalg.norm(mine) / np.linalg.norm(other))


def main() -> None:
    parser = argparse.ArgumentParser(description="TV-L1 against OpenCV on real videos.")
    parser.add_argument("--media", type=Path, required=True, help="folder with videos")
    parser.add_argument("--pairs", type=int, default=200, help="pairs in all (default 200)")
    parser.add_argument("--stacks", type=int, default=2, help="I3D stacks in all (default 2)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    found = list(videos(arguments.media))
    if not found:
        parser.error("no video in that folder")
    every = [(i, start) for i, (_, _, starts) in enumerate(found) for start in starts]
    errors: list[float] = []
    for number in spread(range(len(every)), arguments.pairs):
        video, start = every[number]
        mine, other = both_flows(*found[video][1][start : start + 2])
        errors.append(float(np.linalg.norm(mine - other, axis=0).mean()))
    print(
        f"{len(errors)} pairs of {len(found)} videos: mean end-point error {np.mean(errors):.4f} px, "
        f"median pair {np.median(errors):.4f}, worst pair {max(errors):.4f}"
    )
    for number in spread(range(len(every)), arguments.stacks):
        video, start = every[number]
        path, frames, _ = found[video]
        cosine = features_cosine(frames[start : start + STACK + 1])
        print(f"I3D feature of {path.name} from frame {start}: cosine similarity {cosine:.6f}")


if __name__ == "__main__":
    main()

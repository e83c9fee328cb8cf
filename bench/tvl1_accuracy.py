"""How far TV-L1 here is from OpenCV's on real videos, in pixels and in what I3D makes of it.

    python -m bench.tvl1_accuracy --media DIR [--pairs N] [--stacks N]

Pairs are neighbouring frames of one shot, spread evenly over the videos in DIR; across a cut the
solution is chaotic, and correct programs differ. A stack is 16 pairs in a row; its I3D feature is
computed from either flow, with random weights. Files without pictures and broken ones are skipped
and counted.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bench.tvl1 import opencv_flow
from extract.errors import MarqueeError
from extract.ops.motion.tvl1 import tvl1

SHORT_SIDE = 256
STACK = 16
SUFFIXES = (".mp4", ".webm", ".mkv", ".avi")
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


def runs(shots: Sequence[Mapping[str, int]], frames: int, length: int) -> list[int]:
    """First frames of all runs of ``length`` frames that lie inside one shot."""
    ends = [(shot["start_frame"], min(shot["end_frame"], frames)) for shot in shots]
    return [first for start, end in ends for first in range(start, end - length + 1)]


def stack_starts(path: Path) -> list[int] | None:
    """Where stacks may begin in a video; None if it has no picture or cannot be decoded."""
    import av

    from extract.api import video

    try:
        shots = video(path, experts=["scenes"])["scenes"].to_pylist()
        return runs(shots, len(frames_of(path)), STACK + 1) if shots else None
    except (MarqueeError, av.FFmpegError, OSError):
        return None


def videos(folder: Path) -> dict[Path, list[int]]:
    """The videos of a folder with a shot that is long enough, and where stacks may begin in each."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES)
    starts = {path: stack_starts(path) for path in paths}
    found = {path: places for path, places in starts.items() if places}
    unread = sum(places is None for places in starts.values())
    print(
        f"{len(paths)} files: {len(found)} used, {unread} without pictures or not to be decoded, "
        f"{len(paths) - len(found) - unread} without a shot of {STACK + 1} frames"
    )
    return found


def spread(found: Mapping[Path, Sequence[int]], count: int) -> dict[Path, list[int]]:
    """``count`` of all places, evenly, or all if they are fewer; by video."""
    every = [(path, start) for path, starts in found.items() for start in starts]
    chosen: dict[Path, list[int]] = defaultdict(list)
    for i in np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int):
        path, start = every[i]
        chosen[path].append(start)
    return chosen


def both_flows(first: Grey, second: Grey) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    pair = (torch.from_numpy(image)[None] for image in (first, second))
    return tvl1(*pair)[0].numpy(), opencv_flow(first, second)


def features_cosine(frames: Sequence[Grey]) -> float:
    """Of the I3D features of one stack from either flow."""
    from extract.expert import Resources
    from extract.experts.i3d import CROP, I3d, I3dModel, I3dOptions, centre_square, scale_flow
    from extract.ops.network.inference import inference

    model = I3d(I3dOptions(modalities="flow", frames=STACK, step=STACK)).load(Resources(random_seed=0))
    assert isinstance(model, I3dModel)
    flows = zip(*(both_flows(a, b) for a, b in pairwise(frames)), strict=True)
    stacks = [torch.from_numpy(np.stack(flow)).permute(0, 2, 3, 1) for flow in flows]
    clips = torch.stack([scale_flow(centre_square(stack, CROP, "floor"), "none") for stack in stacks])
    with inference("cpu"):
        mine, other = model.embed(model.networks["flow"], clips).numpy().astype(np.float64)
    return float(mine @ other / np.linalg.norm(mine) / np.linalg.norm(other))


def main() -> None:
    parser = argparse.ArgumentParser(description="TV-L1 against OpenCV on real videos.")
    parser.add_argument("--media", type=Path, required=True, help="folder with videos")
    parser.add_argument("--pairs", type=int, default=200, help="pairs in all (default 200)")
    parser.add_argument("--stacks", type=int, default=4, help="I3D stacks in all (default 4)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    found = videos(arguments.media)
    if not found:
        parser.error("no video in that folder has a shot that is long enough")
    pairs, stacks = spread(found, arguments.pairs), spread(found, arguments.stacks)
    errors: list[float] = []
    for path in found:
        frames = frames_of(path) if path in pairs or path in stacks else []
        for start in pairs.get(path, []):
            mine, other = both_flows(frames[start], frames[start + 1])
            errors.append(float(np.linalg.norm(mine - other, axis=0).mean()))
        for start in stacks.get(path, []):
            cosine = features_cosine(frames[start : start + STACK + 1])
            print(
                f"I3D feature of {path.name} from frame {start}: cosine similarity {cosine:.6f}", flush=True
            )
    print(
        f"{len(errors)} pairs of {len(pairs)} videos: mean end-point error {np.mean(errors):.4f} px, "
        f"median pair {np.median(errors):.4f}, worst pair {max(errors):.4f}"
    )


if __name__ == "__main__":
    main()

"""Optical flow between neighbouring frames of a shot: how much moves, where to, and what moves by itself."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from extract.expert import Column, Embedding, Expert, FrameSpec, Model, Package, Resources, Streams, TableSpec
from extract.experts._clips import ClipTap
from extract.ops.motion.flow_images import folder_name, write_flow
from extract.ops.motion.frame_grid import SceneStacks, Stack
from extract.ops.motion.tvl1 import VARIANTS, check_backend, tvl1
from extract.ops.network.device import to_device
from extract.ops.network.staged import to_host
from extract.types import Item, MediaInfo, Row

SHORT_SIDE = 256
FPS = 25.0
DIRECTIONS = 8
PAIRS_AT_ONCE = {"cpu": 16}  # on an accelerator the batch size of the run
Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class FlowOptions:
    """``flow``: OpenCV's dual TV-L1, or its fast variant without median and with a fixed budget.

    ``keep_flow``: a folder that receives the flow as JPEGs too (:mod:`extract.ops.motion.flow_images`), in a
    folder for each video, numbered in the order of the rows. They are written when rows are computed:
    a run that finds its rows stored writes none. It changes no row, so it is in no fingerprint.
    """

    flow: Literal["default", "fast"] = "default"
    keep_flow: str | None = None

    def __post_init__(self) -> None:
        if self.flow not in (allowed := get_args(get_type_hints(FlowOptions)["flow"])):
            raise ValueError(f"flow is {self.flow!r}; allowed: {', '.join(allowed)}")


class FlowModel:
    """Pairs ``grey`` uint8 (2, height, width) to rows."""

    def __init__(self, options: FlowOptions, resources: Resources) -> None:
        self.options = options
        self.resources = resources

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, item in enumerate(items):
            by_size[item.arrays["grey"].shape].append(i)
        rows: list[list[Row]] = [[] for _ in items]
        at_once = PAIRS_AT_ONCE.get(self.resources.device, self.resources.batch_size)
        for places in by_size.values():
            for start in range(0, len(places), at_once):
                part = places[start : start + at_once]
                for place, row in zip(part, self._rows([items[i] for i in part]), strict=True):
                    rows[place] = [row]
        return rows

    def _rows(self, items: Sequence[Item]) -> list[Row]:
        import torch

        from extract.ops.motion.flow_descriptors import flow_descriptors

        pairs = to_device(np.stack([item.arrays["grey"] for item in items]), self.resources.device)
        fields = tvl1(pairs[:, 0], pairs[:, 1], options=VARIANTS[self.options.flow])
        if self.options.keep_flow is not None:
            _keep(Path(self.options.keep_flow), items, fields.cpu().numpy())
        found = flow_descriptors(fields)
        alone = torch.stack([found.magnitude, found.motion_content], dim=1)
        values = to_host(torch.cat([alone, found.histogram], dim=1))
        return [
            {
                "start_seconds": item.start_seconds,
                "end_seconds": item.end_seconds,
                "scene": item.columns["scene"],
                "magnitude": float(mine[0]),
                "motion_content": float(mine[1]),
                "embedding": mine[2:],
            }
            for item, mine in zip(items, values, strict=True)
        ]


class Flow(Expert):
    """Dual TV-L1 flow (Zach et al. 2007; :mod:`extract.ops.motion.tvl1`) of each shot at 25 frames a second.

    A row is a pair of neighbouring frames of one shot, on the interval of the first on the grid of
    :mod:`extract.ops.motion.frame_grid`; the last of a shot has no pair, so a shot of one frame has no row.
    ``embedding`` is the histogram of oriented flow, float32 (9,): see
    :class:`extract.ops.motion.flow_descriptors.FlowDescriptors`. Pixels are those of a short side of 256, to
    which larger frames are reduced and smaller ones enlarged: a film's values do not depend on its size.
    """

    summary = "magnitude, direction histogram and motion content of the optical flow"
    cites = ("zach2007tvl1", "sanchez2013tvl1")
    Options = FlowOptions
    version = 2  # 2: small frames are enlarged
    larger_batches = 4  # a pair occupies few of an accelerator's processors
    upstream = ("scenes",)
    packages = (Package("numba", "flow"),)
    empty_reason = "no two frames of one shot"

    def tables(self) -> Mapping[str, TableSpec]:
        columns = (
            Column("scene", "int32", "number of the shot, as in the scenes table"),
            Column(
                "magnitude", "float32", "mean length of the flow, in pixels a frame at a short side of 256"
            ),
            Column("motion_content", "float32", "share of pixels that move against the background, 0 to 1"),
        )
        return {self.name: TableSpec(columns, Embedding((1 + DIRECTIONS,), float32=True))}

    def streams(self) -> Streams:
        return Streams(frames=FrameSpec(SHORT_SIDE, grey=True, enlarge=True))

    def settings(self) -> dict[str, Any]:
        return {name: value for name, value in super().settings().items() if name != "keep_flow"}

    def tap(self, media: MediaInfo) -> ClipTap[Grey]:
        numbers = count()

        def pair(stack: Stack[Grey]) -> dict[str, dict[str, NDArray[Any]]]:
            if stack.following is None:
                return {}
            arrays: dict[str, NDArray[Any]] = {"grey": np.stack([stack.frames[0], stack.following])}
            if self.options.keep_flow is not None:
                arrays["number"] = np.array(next(numbers))
                arrays["path"] = np.frombuffer(os.fsencode(media.path), np.uint8)
            return {self.name: arrays}

        return ClipTap(SceneStacks[Grey](fps=FPS, length=1, step=1), lambda image: image, pair)

    def load(self, resources: Resources) -> Model:
        check_backend(resources.device)
        return FlowModel(self.options, resources)


def _keep(folder: Path, items: Sequence[Item], fields: NDArray[np.float32]) -> None:

    for item, field in zip(items, fields, strict=True):
        path = os.fsdecode(item.arrays["path"].tobytes())
        write_flow(folder / folder_name(path), int(item.arrays["number"]), field)

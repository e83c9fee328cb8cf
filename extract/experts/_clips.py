"""What the experts of clips share: the check of their options, the tap, one row for each stack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Resources, Tap
from extract.ops.motion.frame_grid import SceneStacks, Stack
from extract.ops.network.batching import fixed_batches, stacked
from extract.types import Column, Frame, Item, Row, Scene

T = TypeVar("T")
LONGEST = 512  # frames of a stack: what is held grows with it
DEVICE_BATCH = 8  # stacks that an accelerator sees at once: about half a gigabyte of activations each

COLUMNS = (
    Column("scene", "int32", "number of the shot, as in the scenes table"),
    Column("frames", "int32", "frames of the grid in the stack; if the scene has fewer, they are repeated"),
)


def check_grid(*, fps: float, frames: int, step: int, shortest: int) -> None:
    """Raises ValueError unless the grid and the stacks on it can be cut."""
    if not 1 <= fps <= 120:
        raise ValueError(f"fps is {fps}; allowed: 1 to 120")
    if not shortest <= frames <= LONGEST:
        raise ValueError(f"frames is {frames}; allowed: {shortest} to {LONGEST}")
    if not 1 <= step <= frames:
        raise ValueError(f"step is {step}; allowed: 1 to frames ({frames}), so that no frame is left out")


class ClipTap(Tap, Generic[T]):
    """Items of the stacks of each scene, made of what ``prepare`` makes of each frame.

    ``arrays`` gives what an item carries, for each table that it belongs to.
    """

    def __init__(
        self,
        stacks: SceneStacks[T],
        prepare: Callable[[NDArray[np.uint8]], T],
        arrays: Callable[[Stack[T]], Mapping[str, Mapping[str, NDArray[Any]]]],
    ) -> None:
        self._stacks = stacks
        self._prepare = prepare
        self._arrays = arrays
        self._open_scene = 0

    def frame(self, frame: Frame) -> Iterable[Item]:
        self._stacks.add(frame.start_seconds, self._prepare(frame.image))
        return ()

    def settled(self, open_start_seconds: float, settled_seconds: float) -> Iterable[Item]:
        for stack in self._stacks.settle(open_start_seconds, settled_seconds):
            yield from self._items(stack, self._open_scene)

    def scene(self, scene: Scene, keyframe: Frame | None) -> Iterable[Item]:
        for stack in self._stacks.close(scene.start_seconds, scene.end_seconds):
            yield from self._items(stack, scene.index)
        self._open_scene = scene.index + 1

    def _items(self, stack: Stack[T], scene: int) -> Iterable[Item]:
        columns = {"scene": scene, "frames": len(stack.frames)}
        for table, arrays in self._arrays(stack).items():
            yield Item(stack.start_seconds, stack.end_seconds, arrays, columns, table)


def embedding_rows(
    items: Sequence[Item],
    clips: Callable[[Sequence[Item]], Sequence[Any]],
    network: Callable[[Any], NDArray[np.floating]],
    resources: Resources,
) -> list[Row]:
    """A row for each item: ``embedding`` is what ``network`` makes of its clip, all of one shape.

    ``clips`` makes those of some items: arrays, or tensors on the device. The network sees one stack at once
    on a CPU, where more only cost memory, else always as many; no more clips than that are made at a time.
    """
    size = 1 if resources.device == "cpu" else resources.at_most(DEVICE_BATCH)
    rows = []
    for start in range(0, len(items), size):
        part = items[start : start + size]
        embeddings = fixed_batches(network, stacked(clips(part)), size, device=resources.device)
        rows += [item.row(embedding=e) for item, e in zip(part, embeddings, strict=True)]
    return rows

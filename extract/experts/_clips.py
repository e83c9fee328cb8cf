"""What the experts of clips share: the check of their options, the tap, one row for each stack."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Tap
from extract.ops.motion.frame_grid import SceneStacks, Stack
from extract.ops.network.batching import fixed_batches
from extract.ops.network.staged import StagedModel
from extract.types import Column, Frame, Item, Row, Scene

if TYPE_CHECKING:
    import torch

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


class ClipModel(StagedModel):
    """A row for each item, with one ``embedding``.

    The network sees one stack at once on a CPU, where more only cost memory, else always as many.
    """

    @property
    def items_at_once(self) -> int:
        return 1 if self.resources.device == "cpu" else self.resources.at_most(DEVICE_BATCH)

    @abstractmethod
    def order(self, items: Sequence[Item]) -> list[int]:
        """The places of the items in the order of what is computed of them: like ones side by side."""

    def rows(self, items: Sequence[Item], values: NDArray[np.floating]) -> list[list[Row]]:
        rows: list[list[Row]] = [[] for _ in items]
        for place, value in zip(self.order(items), values, strict=True):
            rows[place] = [items[place].row(embedding=value)]
        return rows

    def batched(self, network: Callable[[torch.Tensor], torch.Tensor], clips: torch.Tensor) -> torch.Tensor:
        """What the network makes of clips of one shape, in batches of one size."""
        return fixed_batches(network, clips, self.items_at_once, device=self.resources.device)

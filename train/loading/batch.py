"""What a model sees: some videos, each with the steps of its experts, padded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Videos and the steps (rows) that each expert's table has of them, in the order of time.

    ``features``: expert -> (batch, time, dim) float32, zero where padded; time is that expert's own longest
    of the batch, at least 1. ``padding``: expert -> (batch, time) bool, True where a step is padding.
    ``present``: expert -> (batch,) bool, False where the video has nothing of this expert, so that all its
    steps are padding. ``start_seconds``: expert -> (batch, time) float64, of each step, zero where padded.
    ``labels``: (batch, genres) float32, 0 or 1; None where nobody knows them.

    An expert is a table of the store that has vectors. A timeline
    (:attr:`train.model.GenreModel.timelines`) is one of which the times alone are read: the same entries,
    with features of width 0.
    """

    ids: tuple[str, ...]
    features: Mapping[str, Tensor]
    padding: Mapping[str, Tensor]
    present: Mapping[str, Tensor]
    start_seconds: Mapping[str, Tensor]
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        size = len(self.ids)
        if self.labels is not None and len(self.labels) != size:
            raise ValueError(f"{size} videos have labels of shape {tuple(self.labels.shape)}")
        for expert, features in self.features.items():
            steps = tuple(features.shape[:2])
            shapes = {
                "padding": tuple(self.padding[expert].shape),
                "start_seconds": tuple(self.start_seconds[expert].shape),
            }
            if features.ndim != 3 or steps[0] != size or set(shapes.values()) != {steps}:
                raise ValueError(f"{expert}: {size} videos, features {tuple(features.shape)}, {shapes}")
            if tuple(self.present[expert].shape) != (size,):
                raise ValueError(f"{expert}: {size} videos, present {tuple(self.present[expert].shape)}")

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The same on another device."""
        return self._with(self.ids, lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same in page-locked memory, from which copies to a GPU run beside other work."""
        return self._with(self.ids, lambda tensor: tensor.pin_memory())

    def select(self, indices: Sequence[int]) -> Batch:
        """Some of the videos, in this order; the padding stays as it is."""
        chosen = torch.as_tensor(indices, dtype=torch.long)
        return self._with(
            tuple(self.ids[i] for i in chosen.tolist()), lambda tensor: tensor[chosen.to(tensor.device)]
        )

    def _with(self, ids: tuple[str, ...], change: Callable[[Tensor], Tensor]) -> Batch:
        def each(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {expert: change(tensor) for expert, tensor in tensors.items()}

        return Batch(
            ids=ids,
            features=each(self.features),
            padding=each(self.padding),
            present=each(self.present),
            start_seconds=each(self.start_seconds),
            labels=None if self.labels is None else change(self.labels),
        )

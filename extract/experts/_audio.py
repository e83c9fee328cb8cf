"""What the experts of windows of sound share: cut beside the decoder, one vector for each window.

An expert says how long its windows are, what of a window crosses to the model, and which network
makes a vector of it; the rest is here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Embedding, Expert, Model, Resources, Streams, TableSpec, Tap
from extract.ops.network.batching import fixed_batches
from extract.ops.network.inference import dtype_of, inference, placed
from extract.ops.network.staged import Stacked, StagedModel
from extract.ops.sound.windows import AudioWindows, Window
from extract.types import AudioBlock, Item, MediaInfo, Row
from extract.weights.checkpoints import fill, load_state_dict, to_be_filled

if TYPE_CHECKING:
    import torch

MINIMUM_HOP_SECONDS = 0.01

Arrays = Mapping[str, NDArray[Any]]
Network = TypeVar("Network", bound="torch.nn.Module")


def check_windows(
    window_seconds: float, hop_seconds: float, *, shortest_seconds: float, longest_seconds: float
) -> None:
    """Raises ValueError unless shortest <= window <= longest and 0.01 <= hop <= window."""
    if not shortest_seconds <= window_seconds <= longest_seconds:
        raise ValueError(
            f"window_seconds is {window_seconds}; allowed: {shortest_seconds} to {longest_seconds}"
        )
    if not MINIMUM_HOP_SECONDS <= hop_seconds <= window_seconds:
        raise ValueError(
            f"hop_seconds is {hop_seconds}; "
            f"allowed: {MINIMUM_HOP_SECONDS} to window_seconds ({window_seconds})"
        )


def heard_samples(window: Window, sample_rate: int) -> int:
    """How many of the window's samples are sound; zeros follow."""
    return round((window.end_seconds - window.start_seconds) * sample_rate)


class WindowTap(Tap):
    """One item for each window of sound, on the interval of what was heard."""

    def __init__(self, windows: AudioWindows, prepare: Callable[[Window], Arrays]) -> None:
        self.windows = windows
        self.prepare = prepare

    def audio(self, block: AudioBlock) -> Iterable[Item]:
        return map(self._item, self.windows.push(block))

    def close(self) -> Iterable[Item]:
        return map(self._item, self.windows.flush())

    def _item(self, window: Window) -> Item:
        return Item(window.start_seconds, window.end_seconds, arrays=self.prepare(window))


class AudioModel(StagedModel, Generic[Network]):
    """The item's ``array`` -> ``embedding`` float32 (dimension,)."""

    array: ClassVar[str] = "samples"

    def __init__(self, network: Network, resources: Resources) -> None:
        self.network = placed(network, resources)
        self.resources = resources

    def stack(self, items: Sequence[Item]) -> Stacked:
        return [np.stack([item.arrays[self.array] for item in items])]

    def compute(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        (arrays,) = inputs
        with inference(self.resources.device):
            return fixed_batches(self.embed, arrays, self.items_at_once, device=self.resources.device)

    def rows(self, items: Sequence[Item], values: NDArray[np.floating]) -> list[list[Row]]:
        return [[item.row(embedding=value)] for item, value in zip(items, values, strict=True)]

    @property
    def dtype(self) -> torch.dtype:
        """Of the network's parameters."""
        return dtype_of(self.resources.precision)

    @abstractmethod
    def embed(self, inputs: torch.Tensor) -> torch.Tensor:
        """(batch, ...) of the items' arrays, on the device -> (batch, dimension)."""


class LogmelNetwork(Protocol):
    """A network whose front end makes log-mel bands of samples, both in float32.

    Powers span more than half precision holds, and decibels have more digits.
    """

    def logmel(self, samples: torch.Tensor, /) -> torch.Tensor: ...

    def features(self, logmel: torch.Tensor, /) -> torch.Tensor: ...


class LogmelModel(AudioModel[Any]):
    """``samples`` float32 (window,) -> ``embedding`` of a :class:`LogmelNetwork`."""

    def embed(self, inputs: torch.Tensor) -> torch.Tensor:
        """float32 (batch, window) -> (batch, dimension)."""
        network: LogmelNetwork = self.network
        return network.features(network.logmel(inputs))


class AudioExpert(Expert):
    """One vector for each window of sound.

    A subclass has :attr:`network_name`, :attr:`dimension`, :meth:`build` and :meth:`model`, options with
    ``window_seconds`` and ``hop_seconds`` or its own :meth:`windows`, and :meth:`prepare` where
    something else than the samples goes to the model.
    """

    sample_rate: ClassVar[int] = 16_000
    empty_reason = "no audio"

    @property
    def network_name(self) -> str:
        """For errors."""
        raise NotImplementedError

    @property
    def dimension(self) -> int:
        """Values of the vector."""
        raise NotImplementedError

    def windows(self) -> AudioWindows:
        """Windows of which at least half is sound, unless there is no more sound in all.

        A shorter remainder is heard in a last window that ends with the sound.
        """
        window = round(self.options.window_seconds * self.sample_rate)
        hop = round(self.options.hop_seconds * self.sample_rate)
        half = (window + 1) // 2
        return AudioWindows(window, hop, sample_rate=self.sample_rate, minimum_samples=half)

    def prepare(self, window: Window) -> Arrays:
        """What the model reads, of one shape for all windows."""
        return {"samples": window.samples}

    def build(self) -> torch.nn.Module:
        """The network under the tensor names of its published file."""
        raise NotImplementedError

    def tensors(self, path: Path) -> Mapping[str, torch.Tensor]:
        """The tensors of a published file under the names of :meth:`build`."""
        return load_state_dict(path)

    def model(self, network: Any, resources: Resources) -> Model:
        """The loaded network as the model of this expert."""
        raise NotImplementedError

    def tables(self) -> Mapping[str, TableSpec]:
        return {self.name: TableSpec(embedding=Embedding((self.dimension,)))}

    def streams(self) -> Streams:
        return Streams(audio_rate=self.sample_rate)

    def tap(self, media: MediaInfo) -> Tap:
        return WindowTap(self.windows(), self.prepare)

    def load(self, resources: Resources) -> Model:
        with to_be_filled():
            network = self.build()
        fill(network, resources, "model", self.tensors, what=self.network_name)
        return self.model(network, resources)

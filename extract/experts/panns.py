"""PANNs: what is heard, one vector for each window of sound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from extract.expert import Embedding, Expert, Model, Package, Resources, Streams, TableSpec, Tap
from extract.ops.batching import fixed_batches, network_batch
from extract.ops.windows import AudioWindows, Window
from extract.types import AudioBlock, Item, MediaInfo, Row
from extract.weights import WeightFile

if TYPE_CHECKING:
    from extract.nets.cnn14 import Cnn14

# The network's own module holds torch, which a tap must not import.
SAMPLE_RATE = 32_000
MINIMUM_SAMPLES = 9_920  # 32 STFT frames, of which the network's five poolings leave one
EMBEDDING_SIZES = {"cnn14": 2048, "cnn14_emb128": 128}
RECORD = "https://zenodo.org/record/3987831/files"
LICENCE = "CC BY 4.0"

FILES = {
    "cnn14": WeightFile(
        role="model",
        name="Cnn14_mAP=0.431.pth",
        sha256="0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
        url=f"{RECORD}/Cnn14_mAP%3D0.431.pth?download=1",
        size_bytes=327_428_481,
        licence=LICENCE,
    ),
    "cnn14_emb128": WeightFile(
        role="model",
        name="Cnn14_emb128_mAP=0.412.pth",
        sha256=None,
        url=f"{RECORD}/Cnn14_emb128_mAP%3D0.412.pth?download=1",
        size_bytes=None,
        licence=LICENCE,
        aliases=("CNN14_emb128_mAP=0.412.pth",),  # in the older record 3960586
    ),
}


@dataclass(frozen=True)
class PannsOptions:
    """``cnn14_emb128`` is the Audiotag feature of Sulun et al. 2024, as are the window and the hop.

    Their paper gives the 3-second window; the hop follows from its 140 steps for 214 seconds.
    """

    model: Literal["cnn14", "cnn14_emb128"] = "cnn14"
    window_seconds: float = 3.0
    hop_seconds: float = 1.5

    def __post_init__(self) -> None:
        if self.model not in EMBEDDING_SIZES:
            raise ValueError(f"model is {self.model!r}; allowed: {', '.join(EMBEDDING_SIZES)}")
        shortest = MINIMUM_SAMPLES / SAMPLE_RATE
        if not shortest <= self.window_seconds <= 60:
            raise ValueError(f"window_seconds is {self.window_seconds}; allowed: {shortest} to 60")
        if not 0.01 <= self.hop_seconds <= self.window_seconds:
            raise ValueError(
                f"hop_seconds is {self.hop_seconds}; allowed: 0.01 to window_seconds ({self.window_seconds})"
            )


class PannsTap(Tap):
    def __init__(self, options: PannsOptions) -> None:
        self.windows = AudioWindows(
            round(options.window_seconds * SAMPLE_RATE),
            round(options.hop_seconds * SAMPLE_RATE),
            sample_rate=SAMPLE_RATE,
            minimum_samples=MINIMUM_SAMPLES,
        )

    def audio(self, block: AudioBlock) -> Iterable[Item]:
        return map(_item, self.windows.push(block))

    def close(self) -> Iterable[Item]:
        return map(_item, self.windows.flush())


def _item(window: Window) -> Item:
    return Item(window.start_seconds, window.end_seconds, arrays={"samples": window.samples})


class PannsModel:
    """``samples`` float32 (window,) at 32 kHz -> ``embedding`` float32 (2048,) or (128,)."""

    def __init__(self, network: Cnn14, resources: Resources) -> None:
        self.network = network.to(resources.device).eval()
        self.resources = resources

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        if not items:
            return []
        waves = np.stack([item.arrays["samples"] for item in items])
        size = network_batch(self.resources.device, self.resources.batch_size)
        embeddings = fixed_batches(self.embed, waves, size)
        return [[item.row(embedding=e)] for item, e in zip(items, embeddings, strict=True)]

    def embed(self, waves: NDArray[np.generic]) -> NDArray[np.floating]:
        """float32 (batch, window) -> float32 (batch, embedding size)."""
        import torch

        from extract.ops.inference import inference

        device = self.resources.device
        with inference(device, "float32"):  # the front end's powers span more than half precision holds
            logmel = self.network.logmel(torch.from_numpy(waves).to(device))
        with inference(device, self.resources.precision):
            return np.asarray(self.network.embedding(logmel).float().cpu().numpy())


class Panns(Expert):
    """Cnn14 of Kong et al. 2020: the layer before the AudioSet tags, after its ReLU.

    A video's last window is padded with zeros; its ``end_seconds`` is where the sound ends.
    """

    summary = "PANNs Cnn14 audio-tagging embedding of each window of sound"
    Options = PannsOptions
    packages = (Package("torch", "panns"),)
    empty_reason = "no audio"

    def tables(self) -> Mapping[str, TableSpec]:
        return {self.name: TableSpec(embedding=Embedding((EMBEDDING_SIZES[self.options.model],)))}

    def streams(self) -> Streams:
        return Streams(audio_rate=SAMPLE_RATE)

    def weights(self) -> tuple[WeightFile, ...]:
        return (FILES[self.options.model],)

    def tap(self, media: MediaInfo) -> Tap:
        return PannsTap(self.options)

    def load(self, resources: Resources) -> Model:
        from extract.checkpoints import load_state_dict, load_strict, seeded
        from extract.nets.cnn14 import Cnn14

        network = Cnn14(embedding_size=EMBEDDING_SIZES[self.options.model])
        if resources.random_seed is not None:
            seeded(network, resources.random_seed)
        else:
            state = load_state_dict(resources.weights["model"])
            load_strict(network, state, what=f"PANNs {self.options.model}")
        return PannsModel(network, resources)

"""VGGish: what is heard, one vector for every 0.96 s of sound."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from extract.errors import WeightsError
from extract.expert import Model, Package, Resources, Tolerance
from extract.experts._audio import Arrays, AudioExpert, AudioModel
from extract.ops.sound.mel import htk_mel_filters
from extract.ops.sound.spectrogram import hann
from extract.ops.sound.windows import AudioWindows, Window
from extract.weights.checkpoints import fill, load_state_dict
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

    from extract.nets.vggish import Vggish as Network
    from extract.nets.vggish import VggishPca

SAMPLE_RATE = 16_000
FRAME_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms
FFT_SIZE = 512
BANDS = 64
RANGE_HZ = (125.0, 7500.0)
LOG_OFFSET = 0.01
EXAMPLE_FRAMES = 96
EXAMPLE_SAMPLES = FRAME_SAMPLES + (EXAMPLE_FRAMES - 1) * HOP_SAMPLES  # 15,600: 0.975 s
EXAMPLE_HOP_SAMPLES = EXAMPLE_FRAMES * HOP_SAMPLES  # 15,360: examples share no frame

RELEASE = "https://github.com/harritaylor/torchvggish/releases/download/v0.1"
LICENCE = "Apache-2.0"
MODEL_FILE = WeightFile(
    role="model",
    name="vggish-10086976.pth",
    sha256="10086976",
    url=f"{RELEASE}/vggish-10086976.pth",
    size_bytes=288_567_937,
    licence=LICENCE,
    alternatives=(
        WeightFile(
            role="model",
            name="pytorch_vggish.pth",
            sha256=None,
            url="https://github.com/tcvrick/audioset-vggish-tensorflow-to-pytorch/releases",
            size_bytes=None,
            licence=LICENCE,
        ),
    ),
)
PCA_FILE = WeightFile(
    role="pca",
    name="vggish_pca_params-970ea276.pth",
    sha256="970ea276",
    url=f"{RELEASE}/vggish_pca_params-970ea276.pth",
    size_bytes=None,
    licence=LICENCE,
    alternatives=(
        WeightFile(
            role="pca",
            name="vggish_pca_params.npz",
            sha256="4d878af3e306defbfb37095365aa7e5a6cecb86bad13e859e626151c4e6a8b9d",
            url="https://storage.googleapis.com/audioset/vggish_pca_params.npz",
            size_bytes=73_020,
            licence=LICENCE,
        ),
    ),
)

Variant = Literal["raw_relu", "raw_pre", "pca_clipped", "pca_q8", "pca_q8_truncated"]
VARIANTS: tuple[Variant, ...] = ("raw_relu", "raw_pre", "pca_clipped", "pca_q8", "pca_q8_truncated")


@dataclass(frozen=True)
class VggishOptions:
    """``variant``: which of the values that have been published as "VGGish" are stored.

    ``raw_relu`` is the last layer with its ReLU, as the release of 2017, torchvggish without
    post-processing and video_features give it; ``raw_pre`` the same layer before the ReLU, as
    TensorFlow's present code does. The others post-process ``raw_relu`` as for the released
    AudioSet features: projected by PCA and clipped to [-2, 2] (``pca_clipped``), then on whole
    steps from 0 to 255, rounded as torchvggish does (``pca_q8``) or cut off as TensorFlow's
    uint8 does (``pca_q8_truncated``). Fish et al. 2021 do not say which they used.
    """

    variant: Variant = "raw_relu"

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(f"variant is {self.variant!r}; allowed: {', '.join(VARIANTS)}")


class VggishModel(AudioModel["Network"]):
    """``logmel`` float32 (96, 64) -> ``embedding`` float32 (128,)."""

    array = "logmel"

    def __init__(
        self, network: Network, resources: Resources, *, variant: Variant, pca: VggishPca | None = None
    ) -> None:
        super().__init__(network, resources)
        self.variant = variant
        self.pca = None if pca is None else pca.to(resources.device)

    def embed(self, inputs: torch.Tensor) -> torch.Tensor:
        """float32 (batch, 96, 64) -> float32 (batch, 128)."""
        return self.finish(self.network(inputs[:, None].to(self.dtype)).float())

    def finish(self, raw: torch.Tensor) -> torch.Tensor:
        """The variant, from (batch, 128) before the ReLU."""
        if self.variant == "raw_pre":
            return raw
        if self.pca is None:
            return raw.relu()
        if self.variant == "pca_clipped":
            return self.pca(raw.relu())  # type: ignore[no-any-return]
        steps = self.pca.quantised(raw.relu())
        return steps.round() if self.variant == "pca_q8" else steps.trunc()


class Vggish(AudioExpert):
    """The 128 values of VGGish (Hershey et al. 2017) for each example of 96 frames of 25 ms.

    ``embedding`` (128,): the third fully connected layer, of (96, 64) log-mel magnitudes of mono sound at 16
    kHz, full scale 1. Examples follow each other every 0.96 s and hear 0.975 s: the last frame reaches 15 ms
    over. Where the published code drops what remains of the sound, a remainder of half an example or more is
    padded with zeros, and below that a last example ends with the sound.
    """

    summary = "VGGish embedding of every 0.96 s of sound"
    cites = ("hershey2017vggish",)
    tolerance = Tolerance(bfloat16=0.015, float16=0.002)
    Options = VggishOptions
    packages = (Package("torch", "vggish"),)
    network_name = "VGGish"
    sample_rate = SAMPLE_RATE
    dimension = 128

    def weights(self) -> tuple[WeightFile, ...]:
        return (MODEL_FILE, PCA_FILE) if self._post_processed else (MODEL_FILE,)

    def windows(self) -> AudioWindows:
        return AudioWindows(
            EXAMPLE_SAMPLES,
            EXAMPLE_HOP_SAMPLES,
            sample_rate=SAMPLE_RATE,
            minimum_samples=EXAMPLE_SAMPLES // 2,
        )

    def prepare(self, window: Window) -> Arrays:
        return {"logmel": log_mel(window.samples)}

    def build(self) -> Network:
        from extract.nets.vggish import Vggish as Network

        return Network()

    def tensors(self, path: Path) -> Mapping[str, torch.Tensor]:
        """Torchvggish's names; tcvrick's conversion has ``fc`` for ``embeddings``."""
        state = super().tensors(path)
        if "fc.0.weight" not in state:
            return state
        return {re.sub(r"^fc\.", "embeddings.", name): tensor for name, tensor in state.items()}

    def model(self, network: Network, resources: Resources) -> Model:
        pca = self._pca(resources) if self._post_processed else None
        return VggishModel(network, resources, variant=self.options.variant, pca=pca)

    @property
    def _post_processed(self) -> bool:
        return str(self.options.variant).startswith("pca")

    def _pca(self, resources: Resources) -> VggishPca:
        from extract.nets.vggish import VggishPca

        pca = VggishPca()
        fill(pca, resources, "pca", load_pca, what="VGGish's PCA")
        return pca


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) at 16 kHz, full scale 1 -> (1 + (n - 400) // 160, 64): log(mel + 0.01) of magnitudes.

    tensorflow/models, research/audioset/vggish/mel_features.py: no padding, periodic Hann window
    of 25 ms in a transform of 512, triangles straight over mel from 125 to 7500 Hz.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES]
    magnitudes = np.abs(np.fft.rfft(frames.astype(np.float64) * hann(FRAME_SAMPLES), FFT_SIZE))
    return np.log(magnitudes @ _filters() + LOG_OFFSET).astype(np.float32)


def load_pca(path: Path) -> dict[str, torch.Tensor]:
    """``pca_eigen_vectors`` (128, 128) and ``pca_means`` (128, 1) of torchvggish's or TensorFlow's file.

    Raises:
        WeightsError: the file is damaged or holds something else.
    """
    import torch

    if path.suffix != ".npz":
        return load_state_dict(path)
    try:
        with np.load(path) as arrays:
            state = {name: torch.from_numpy(arrays[name]).float() for name in arrays.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path} is truncated or not an archive of arrays: {error}; download it again"
        ) from error
    if "pca_means" in state and state["pca_means"].ndim == 1:
        state["pca_means"] = state["pca_means"][:, None]
    return state


@cache
def _filters() -> NDArray[np.float64]:
    """(257, 64)"""
    low_hz, high_hz = RANGE_HZ
    filters = htk_mel_filters(
        sample_rate=SAMPLE_RATE,
        n_fft=FFT_SIZE,
        bands=BANDS,
        low_hz=low_hz,
        high_hz=high_hz,
        straight_in="mel",
    ).T
    filters.flags.writeable = False  # shared by all callers
    return filters

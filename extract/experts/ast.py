"""AST, the audio spectrogram transformer: what is heard, one vector for each window of sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from extract.expert import Model, Package, Resources, Tolerance
from extract.experts._audio import Arrays, AudioExpert, AudioModel, check_windows, heard_samples
from extract.experts._classes import ClassOptions, WithClasses, labels
from extract.ops.sound.kaldi_fbank import BANDS, FRAME_SAMPLES, SAMPLE_RATE, kaldi_fbank
from extract.ops.sound.windows import Window
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

    from extract.nets.ast import Ast as Network

FRAMES = 1024
SHORTEST_SECONDS = 0.025  # one frame
LONGEST_SECONDS = 10.255  # 1024 frames
FBANK_MEAN = -4.2677393
FBANK_STD = 4.5689974

FOLDER = "ast-finetuned-audioset-10-10-0.4593"
REVISION = "f826b80d28226b62986cc218e5cec390b1096902"
MODEL_FILE = WeightFile(
    role="model",
    name=f"{FOLDER}/model.safetensors",
    sha256="ae0c1e2ad4e1381d851fa9bf298ba13ebc9c5a914cdee2dbe427a6583869924d",
    url=f"https://huggingface.co/MIT/{FOLDER}/resolve/{REVISION}/model.safetensors",
    size_bytes=346_404_948,
    licence="BSD-3-Clause",
)


@dataclass(frozen=True)
class AstOptions(ClassOptions):
    """Windows of 10 s with half overlap, as the baseline of Sulun et al. 2024."""

    window_seconds: float = 10.0
    hop_seconds: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_windows(
            self.window_seconds,
            self.hop_seconds,
            shortest_seconds=SHORTEST_SECONDS,
            longest_seconds=LONGEST_SECONDS,
        )


class AstModel(AudioModel["Network"]):
    """``fbank`` float32 (1024, 128) -> ``embedding`` float32 (768,)."""

    array = "fbank"

    def __init__(self, network: Network, resources: Resources, last: torch.nn.Module) -> None:
        super().__init__(network, resources)
        self._last = last

    @property
    def items_at_once(self) -> int:
        """On a CPU one: its 1214 tokens fill the cores, and padding a batch would cost seconds."""
        return 1 if self.resources.device == "cpu" else super().items_at_once

    def embed(self, inputs: torch.Tensor) -> torch.Tensor:
        """float32 (batch, 1024, 128) -> (batch, 768)."""
        found: torch.Tensor = self._last(self.network(inputs.to(self.dtype)))
        return found


class Ast(WithClasses, AudioExpert):
    """AST (Gong et al. 2021) fine-tuned on AudioSet: mean of the class and the distillation token.

    ``embedding`` (768,) of each window: mono sound at 16 kHz, full scale 1, as log filter banks (1024, 128).
    Both tokens are read after the last normalisation. A window shorter than 1024 frames, and a last one that
    the sound does not fill, ends in zeros in place of filter banks, as published; the last window has at
    least half a window of sound unless the video has less.
    """

    summary = "AST audio embedding of each window of sound"
    cites = ("gong2021ast", "gemmeke2017audioset")
    tolerance = Tolerance(bfloat16=0.015, float16=0.002)
    Options = AstOptions
    packages = (Package("torch", "ast"),)
    network_name = "AST fine-tuned on AudioSet"
    sample_rate = SAMPLE_RATE
    dimension = 768
    exclusive = False

    def weights(self) -> tuple[WeightFile, ...]:
        return (MODEL_FILE,)

    def prepare(self, window: Window) -> Arrays:
        """The filter banks of what was heard, with zeros behind a sound shorter than one frame."""
        heard = max(FRAME_SAMPLES, heard_samples(window, SAMPLE_RATE))
        return {"fbank": padded_fbank(window.samples[:heard])}

    def build(self) -> Network:
        from extract.nets.ast import Ast as Network

        return Network()

    def model(self, network: Network, resources: Resources) -> Model:
        return AstModel(network, resources, self.last(network.classifier))

    def class_names(self) -> Sequence[str]:
        return labels("audioset")


def padded_fbank(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) at 16 kHz, full scale 1 -> (1024, 128), padded with zeros, then normalised as published."""
    fbank = np.zeros((FRAMES, BANDS), np.float32)
    frames = kaldi_fbank(samples, window="hanning")[:FRAMES]
    fbank[: len(frames)] = frames
    return (fbank - np.float32(FBANK_MEAN)) / np.float32(2 * FBANK_STD)

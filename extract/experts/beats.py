"""BEATs: what is heard, one vector for each window of sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from extract.expert import Model, Package, Resources, Tolerance
from extract.experts._audio import Arrays, AudioExpert, AudioModel, check_windows, heard_samples
from extract.ops.sound.kaldi_fbank import BANDS, FRAME_SAMPLES, HOP_SAMPLES, SAMPLE_RATE, kaldi_fbank
from extract.ops.sound.windows import Window
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

    from extract.nets.beats import Beats as Network

PATCH_FRAMES = 16
PATCH_BANDS = 16
SHORTEST_SECONDS = 0.175  # one patch: 16 frames
LONGEST_SECONDS = 30.0
FULL_SCALE = 32_768.0  # the network heard 16-bit numbers
FBANK_MEAN = 15.41663
FBANK_STD = 6.55582

MODEL_FILE = WeightFile(
    role="model",
    name="BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt",
    sha256=None,
    url="https://huggingface.co/WeiChihChen/BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2/resolve/main/"
    "BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt",
    size_bytes=None,
    licence="MIT",
)


@dataclass(frozen=True)
class BeatsOptions:
    """Windows of 3 s every 1.5 s, as in the code of Sulun et al. 2024."""

    window_seconds: float = 3.0
    hop_seconds: float = 1.5

    def __post_init__(self) -> None:
        check_windows(
            self.window_seconds,
            self.hop_seconds,
            shortest_seconds=SHORTEST_SECONDS,
            longest_seconds=LONGEST_SECONDS,
        )


class BeatsModel(AudioModel["Network"]):
    """``fbank`` float32 (frames, 128), NaN behind the sound -> ``embedding`` float32 (768,)."""

    array = "fbank"

    def embed(self, inputs: torch.Tensor) -> torch.Tensor:
        """float32 (batch, frames, 128) -> float32 (batch, 768)."""
        from extract.nets.beats import mean_heard

        patches = ~inputs[:, PATCH_FRAMES - 1 :: PATCH_FRAMES, 0].isnan()
        heard = patches.repeat_interleave(BANDS // PATCH_BANDS, dim=1)
        tokens = self.network.encode(inputs.nan_to_num().to(self.dtype), heard)
        return mean_heard(tokens.float(), heard)


class Beats(AudioExpert):
    """BEATs iter3+ (Chen et al. 2022), fine-tuned on AudioSet: the mean of the encoder's tokens.

    ``embedding`` (768,) of each window: mono sound at 16 kHz, as 16-bit numbers, as log filter banks (frames,
    128) every 10 ms. This is the audio feature of the public code of Sulun et al. 2024, where their paper has
    PANNs. A last window that the sound does not fill is masked behind it, so that its row is what the network
    says of the sound alone; it has at least half a window of sound unless the video has less. (Their code
    leaves out the last window, and videos shorter than one.)
    """

    summary = "BEATs audio embedding of each window of sound"
    cites = ("chen2022beats", "gemmeke2017audioset")
    tolerance = Tolerance(bfloat16=0.015, float16=0.002)
    Options = BeatsOptions
    packages = (Package("torch", "beats"),)
    network_name = "BEATs fine-tuned on AudioSet"
    sample_rate = SAMPLE_RATE
    dimension = 768

    def weights(self) -> tuple[WeightFile, ...]:
        return (MODEL_FILE,)

    def prepare(self, window: Window) -> Arrays:
        """The window's filter banks, NaN for the frames that reach behind the sound.

        The first patch is always heard, with zeros behind a sound that is shorter.
        """
        fbank = normalised_fbank(window.samples)
        heard = heard_samples(window, SAMPLE_RATE)
        frames = max(PATCH_FRAMES, 1 + (heard - FRAME_SAMPLES) // HOP_SAMPLES)
        fbank[frames:] = np.nan
        return {"fbank": fbank}

    def build(self) -> Network:
        from extract.nets.beats import Beats as Network

        return Network()

    def model(self, network: Network, resources: Resources) -> Model:
        return BeatsModel(network, resources)


def normalised_fbank(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) at 16 kHz, full scale 1 -> (frames, 128) as the network was trained on."""
    fbank = kaldi_fbank(samples * np.float32(FULL_SCALE), window="povey")
    return (fbank - np.float32(FBANK_MEAN)) / np.float32(2 * FBANK_STD)

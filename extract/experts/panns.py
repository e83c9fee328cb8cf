"""PANNs: what is heard, one vector for each window of sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from extract.expert import Model, Package, Resources, Tolerance
from extract.experts._audio import AudioExpert, LogmelModel, check_windows
from extract.experts._classes import ClassOptions, WithClasses, labels
from extract.ops.sound.windows import AudioWindows
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

    from extract.nets.cnn14 import Cnn14

# The network's own module holds torch, which a tap must not import.
SAMPLE_RATE = 32_000
MINIMUM_SAMPLES = 9_920  # 32 STFT frames, of which the network's five poolings leave one
LONGEST_SECONDS = 60.0
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
class PannsOptions(ClassOptions):
    """``cnn14_emb128`` is the Audiotag feature of Sulun et al. 2024, as are the window and the hop.

    Their paper gives the 3-second window; the hop follows from its 140 steps for 214 seconds.
    """

    model: Literal["cnn14", "cnn14_emb128"] = "cnn14"
    window_seconds: float = 3.0
    hop_seconds: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model not in EMBEDDING_SIZES:
            raise ValueError(f"model is {self.model!r}; allowed: {', '.join(EMBEDDING_SIZES)}")
        check_windows(
            self.window_seconds,
            self.hop_seconds,
            shortest_seconds=MINIMUM_SAMPLES / SAMPLE_RATE,
            longest_seconds=LONGEST_SECONDS,
        )


class PannsModel(LogmelModel):
    """``samples`` float32 (window,) at 32 kHz -> ``embedding`` float32 (2048,) or (128,)."""

    def __init__(self, network: Cnn14, resources: Resources, last: torch.nn.Module) -> None:
        super().__init__(network, resources)
        self._last = last

    def embed(self, inputs: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._last(super().embed(inputs))
        return found


class Panns(WithClasses, AudioExpert):
    """Cnn14 of Kong et al. 2020: the layer before the AudioSet tags, after its ReLU.

    ``embedding`` (2048,), of ``cnn14_emb128`` (128,), for each window of mono sound at 32 kHz, full scale 1,
    as 64 log-mel bands in decibels. A video's last window is padded with zeros; its ``end_seconds`` is where
    the sound ends.
    """

    summary = "PANNs Cnn14 audio-tagging embedding of each window of sound"
    cites = ("kong2020panns", "gemmeke2017audioset")
    tolerance = Tolerance(bfloat16=0.015, float16=0.002)
    Options = PannsOptions
    packages = (Package("torch", "panns"),)
    sample_rate = SAMPLE_RATE
    exclusive = False

    @property
    def dimension(self) -> int:
        return EMBEDDING_SIZES[self.options.model]

    @property
    def network_name(self) -> str:
        return f"PANNs {self.options.model}"

    def weights(self) -> tuple[WeightFile, ...]:
        return (FILES[self.options.model],)

    def windows(self) -> AudioWindows:
        return AudioWindows(
            round(self.options.window_seconds * SAMPLE_RATE),
            round(self.options.hop_seconds * SAMPLE_RATE),
            sample_rate=SAMPLE_RATE,
            minimum_samples=MINIMUM_SAMPLES,
        )

    def build(self) -> Cnn14:
        from extract.nets.cnn14 import Cnn14

        return Cnn14(embedding_size=self.dimension)

    def model(self, network: Cnn14, resources: Resources) -> Model:
        return PannsModel(network, resources, self.last(network.fc_audioset))

    def class_names(self) -> Sequence[str]:
        return labels("audioset")

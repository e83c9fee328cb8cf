"""Musicnet: a 50-tag music tagger, one vector for each window of sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from extract.expert import Model, Package, Resources, Tolerance
from extract.experts._audio import AudioExpert, LogmelModel, check_windows
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    from extract.nets.music_fcn import MusicFcn

SHORTEST_SECONDS = 20.464  # 1280 frames, of which the network's poolings leave one cell
LONGEST_SECONDS = 40.94  # 2559 frames; one more would leave two

Corpus = Literal["msd", "mtat", "jamendo"]
CORPORA: tuple[Corpus, ...] = ("msd", "mtat", "jamendo")
URL = "https://raw.githubusercontent.com/minzwon/sota-music-tagging-models/master/models"


@dataclass(frozen=True)
class MusicnetOptions:
    """``trained_on``: the Million Song Dataset, MagnaTagATune or MTG-Jamendo, each with its 50 tags.

    22 s is the window of Sulun et al. 2024; the hop follows from their 18 steps for 214 s. The
    network was trained on 29 s and takes 20.464 to 40.94 s.
    """

    trained_on: Corpus = "msd"
    window_seconds: float = 22.0
    hop_seconds: float = 11.0

    def __post_init__(self) -> None:
        if self.trained_on not in CORPORA:
            raise ValueError(f"trained_on is {self.trained_on!r}; allowed: {', '.join(CORPORA)}")
        check_windows(
            self.window_seconds,
            self.hop_seconds,
            shortest_seconds=SHORTEST_SECONDS,
            longest_seconds=LONGEST_SECONDS,
        )


class MusicnetModel(LogmelModel):
    """``samples`` float32 (window,) at 16 kHz -> ``embedding`` float32 (64,)."""


class Musicnet(AudioExpert):
    """The 64 values before the tags of the fully convolutional network of Choi et al. 2016.

    ``embedding`` (64,): the output of the fifth block, for each window of mono sound at 16 kHz, full scale 1,
    as 96 mel bands in decibels. Sulun et al. 2024 name neither file nor code for their "Musicnet" (Choi et
    al., 50 tags, 64 values, 22 s); this is the one public network that has all four. The last window is
    padded with zeros, and has at least half a window of sound unless the video has less; ``end_seconds`` is
    where the sound ends.
    """

    summary = "music-tagging embedding (Choi's FCN) of each window of sound"
    cites = ("choi2016fcn", "won2020tagging")
    tolerance = Tolerance(bfloat16=0.015, float16=0.002)
    Options = MusicnetOptions
    packages = (Package("torch", "musicnet"),)
    network_name = "the music tagger FCN"
    dimension = 64

    def weights(self) -> tuple[WeightFile, ...]:
        path = f"{self.options.trained_on}/fcn/best_model.pth"
        return (WeightFile("model", path, None, f"{URL}/{path}", None, "MIT"),)

    def build(self) -> MusicFcn:
        from extract.nets.music_fcn import MusicFcn

        return MusicFcn()

    def model(self, network: MusicFcn, resources: Resources) -> Model:
        return MusicnetModel(network, resources)

"""What goes into a decoder of Whisper and comes out of it: windows of 30 s, and their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor


class Window(Protocol):
    """30 s of sound to be put into words."""

    @property
    def features(self) -> Tensor:
        """(1500, width), from the encoder."""

    @property
    def language(self) -> str: ...


AnyWindow = TypeVar("AnyWindow", bound=Window)


@dataclass(frozen=True)
class Decoded:
    """What ``whisper.DecodingResult`` says of a window; tokens without prompt and end of text."""

    tokens: list[int]
    avg_logprob: float
    no_speech_prob: float


class Windows(Protocol[AnyWindow]):
    """Where windows come from, and where they go."""

    def take(self, count: int, /) -> Sequence[AnyWindow]:
        """Up to ``count`` windows that were not taken before; none if nothing is left for now."""

    def done(self, window: AnyWindow, decoded: Decoded, /) -> None:
        """May bring about windows that can be taken next."""


class Decoder(Protocol):
    def run(self, windows: Windows[AnyWindow], /) -> None:
        """Decode all that there is to take."""

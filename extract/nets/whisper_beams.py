"""Whisper's beam search: the package's own, on windows of one language at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from whisper.decoding import DecodingTask

from extract.nets.whisper_windows import AnyWindow, Decoded, Windows

if TYPE_CHECKING:
    from whisper.decoding import DecodingOptions
    from whisper.model import Whisper


class _Task(DecodingTask):  # type: ignore[misc]  # the package has no types
    """Features are what they are: the package allows no bfloat16."""

    def _get_audio_features(self, mel: torch.Tensor) -> torch.Tensor:
        return mel


class BeamDecoder:
    """``whisper.decode`` with ``options``, which name the beams, for up to ``rows`` windows at once."""

    def __init__(self, network: Whisper, options: DecodingOptions, *, rows: int) -> None:
        self.rows = rows
        self._network = network
        self._options = options

    def run(self, windows: Windows[AnyWindow], /) -> None:
        while taken := windows.take(self.rows):
            for language in dict.fromkeys(window.language for window in taken):
                mine = [window for window in taken if window.language == language]
                features = torch.stack([window.features for window in mine])
                results = _Task(self._network, replace(self._options, language=language)).run(features)
                for window, found in zip(mine, results, strict=True):
                    windows.done(window, Decoded(found.tokens, found.avg_logprob, found.no_speech_prob))

"""Whisper's beam search: the package's own, on windows of one language at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from extract.nets.whisper_windows import AnyWindow, Decoded, Windows

if TYPE_CHECKING:
    from whisper.decoding import DecodingOptions
    from whisper.model import Whisper


class BeamDecoder:
    """``whisper.decode`` with ``options``, which name the beams, for up to ``rows`` windows at once."""

    def __init__(self, network: Whisper, options: DecodingOptions, *, rows: int) -> None:
        self.rows = rows
        self._network = network
        self._options = options

    def run(self, windows: Windows[AnyWindow], /) -> None:
        import whisper

        while taken := windows.take(self.rows):
            for language in dict.fromkeys(window.language for window in taken):
                mine = [window for window in taken if window.language == language]
                features = torch.stack([window.features for window in mine])
                results = whisper.decode(self._network, features, self._options, language=language)
                for window, found in zip(mine, results, strict=True):
                    windows.done(window, Decoded(found.tokens, found.avg_logprob, found.no_speech_prob))

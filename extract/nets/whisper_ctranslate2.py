"""Whisper by CTranslate2 (github.com/OpenNMT/CTranslate2), the engine of faster-whisper, from its files.

The search, the suppressed tokens and the rules of time stamps are the library's own copy of openai-whisper's.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from extract.declarations import Resources
from extract.errors import UsageError, WeightsError
from extract.nets.whisper_rules import LATEST_START, suppressed_tokens
from extract.nets.whisper_windows import AnyWindow, Decoded, Windows

if TYPE_CHECKING:
    from whisper.tokenizer import Tokenizer


class ConvertedWhisper:
    """A converted model with the parts of openai-whisper's that its caller uses; features are on the CPU.

    Raises WeightsError for files that are not in one folder, or of a model for English alone, and UsageError
    for random weights and for a precision that the library does not have on the device.
    """

    device = torch.device("cpu")  # where spectrograms are made

    def __init__(self, resources: Resources) -> None:
        import ctranslate2

        if resources.random_seed is not None:
            raise UsageError("whisper.engine=ctranslate2 has no random weights: use engine=torch")
        folders = {path.parent for path in resources.weights.values()}
        if len(folders) != 1:
            raise WeightsError(
                f"the files of whisper's model must be in one folder: {', '.join(map(str, sorted(folders)))}"
            )
        (folder,) = folders
        device, _, index = resources.device.partition(":")
        try:
            self.model = ctranslate2.models.Whisper(
                str(folder),
                device,
                device_index=int(index or 0),
                compute_type=resources.precision,
                intra_threads=torch.get_num_threads(),
            )
        except ValueError as error:
            raise UsageError(
                f"--precision {resources.precision} on {resources.device} does not go with "
                f"whisper.engine=ctranslate2 ({error}): take another precision, or engine=torch"
            ) from error
        if not self.model.is_multilingual:
            raise WeightsError(f"{folder} holds a Whisper for English alone: it cannot tell a language")
        self.num_languages: int = self.model.num_languages
        self.dims = SimpleNamespace(n_mels=self.model.n_mels)

    def encoder(self, mels: Tensor) -> Tensor:
        """(batch, mels, 3000) of any float -> (batch, 1500, width) float32."""
        return torch.from_numpy(np.array(self.model.encode(_view(mels.float()), to_cpu=True), np.float32))

    def detect_language(self, features: Tensor, _: Tokenizer) -> tuple[None, list[dict[str, float]]]:
        """As ``Whisper.detect_language``: nothing, and the probability of each language by its code."""
        found = self.model.detect_language(_view(features))
        return None, [{name.strip("<|>"): probability for name, probability in each} for each in found]


class ConvertedDecoder:
    """The greedy search of CTranslate2 for up to ``rows`` windows of any language at once."""

    def __init__(
        self,
        network: ConvertedWhisper,
        tokenizer: Tokenizer,
        task: Literal["transcribe", "translate"],
        *,
        rows: int,
        longest: int,
    ) -> None:
        self.rows = rows
        self._model, self._tokenizer = network.model, tokenizer
        self._task = tokenizer.translate if task == "translate" else tokenizer.transcribe
        self._options: dict[str, Any] = {
            "beam_size": 1,
            "max_length": 2 * longest,  # of which it says half
            "suppress_tokens": suppressed_tokens(tokenizer),
            "max_initial_timestamp_index": LATEST_START,
            "return_scores": True,
            "return_no_speech_prob": True,
        }

    def run(self, windows: Windows[AnyWindow], /) -> None:
        while taken := windows.take(self.rows):
            features = torch.stack([window.features for window in taken])
            prompts = [self._prompt(window.language) for window in taken]
            for window, found in zip(
                taken, self._model.generate(_view(features), prompts, **self._options), strict=True
            ):
                tokens = list(found.sequences_ids[0])
                # Its score is the mean over the tokens; whisper.decode's counts the end of text too.
                mean = found.scores[0] * len(tokens) / (len(tokens) + 1)
                windows.done(window, Decoded(tokens, mean, found.no_speech_prob))

    def _prompt(self, language: str) -> list[int]:
        tokenizer = self._tokenizer
        return [tokenizer.sot, tokenizer.to_language_token(language), self._task]


def _view(values: Tensor) -> Any:
    import ctranslate2

    return ctranslate2.StorageView.from_array(np.ascontiguousarray(values.float().cpu().numpy()))

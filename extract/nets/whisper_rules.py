"""What Whisper may say next: suppressed tokens and the rules of time stamps, for all rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from whisper.tokenizer import Tokenizer

LATEST_START = 50  # in units of 20 ms: whisper.DecodingOptions.max_initial_timestamp is 1 s


@dataclass(frozen=True)
class Said:
    """What the rules need to know of each row: all (rows,).

    ``count``: tokens said after the prompt. ``time_last``, ``time_before``: whether the last one, and the one
    before, is a time stamp (before the first two are said, ``time_before`` holds). ``latest``: the last
    time stamp said, in units of 20 ms, or -1.
    """

    count: Tensor
    time_last: Tensor
    time_before: Tensor
    latest: Tensor

    @classmethod
    def nothing(cls, rows: int, device: torch.device) -> Said:
        def all_rows(value: int | bool) -> Tensor:
            return torch.full((rows,), value, device=device)

        return cls(all_rows(0), all_rows(False), all_rows(True), all_rows(-1))


def suppressed_tokens(tokenizer: Tokenizer) -> list[int]:
    """What is never said: ``SuppressTokens`` of openai/whisper with its default, "-1"."""
    special = (
        tokenizer.transcribe, tokenizer.translate, tokenizer.sot, tokenizer.sot_prev,
        tokenizer.sot_lm, tokenizer.no_speech, tokenizer.no_timestamps,
    )  # fmt: skip
    return [*tokenizer.non_speech_tokens, *special]


class Rules:
    """Greedy choice under the rules of openai/whisper, ``decoding.py``: ``SuppressBlank``, ``SuppressTokens``
    and ``ApplyTimestampRules``, which go through the rows one by one there.
    """

    def __init__(self, tokenizer: Tokenizer, vocabulary: int, device: torch.device) -> None:
        self._end_of_text: int = tokenizer.eot
        self._first_time: int = tokenizer.timestamp_begin
        suppressed = torch.zeros(self._first_time, dtype=torch.bool)
        suppressed[suppressed_tokens(tokenizer)] = True
        self._suppressed = suppressed.to(device)
        self._is_word = torch.arange(self._first_time, device=device) < self._end_of_text
        self._times = torch.arange(vocabulary - self._first_time, device=device)

    def choose(self, logits: Tensor, said: Said) -> tuple[Tensor, Tensor]:
        """The likeliest token that is allowed, (rows,), and its logarithmic probability among the allowed.

        ``logits``: (rows, vocabulary) float32.
        """
        first = said.count == 0
        closed = said.time_last & ~said.time_before  # a segment: another time or the end must follow
        opened = said.time_last & said.time_before  # words must follow
        barred = self._suppressed | first[:, None] | (closed[:, None] & self._is_word)
        words = logits[:, : self._first_time].masked_fill(barred, -torch.inf)
        # Time does not go back, and no segment is empty.
        earliest = said.latest + (~closed).long()
        latest = torch.where(first, LATEST_START, torch.where(opened, -1, len(self._times)))
        barred = (self._times < earliest[:, None]) | (self._times > latest[:, None])
        times = logits[:, self._first_time :].masked_fill(barred, -torch.inf)
        # Times that are together likelier than any single word are said. This holds where one is likelier by
        # itself, so that the likeliest token of all is a word wherever no time is said.
        all_words, all_times = words.logsumexp(1), times.logsumexp(1)
        word, time = words.max(1), times.max(1)
        timed = all_times > word.values
        token = torch.where(timed, time.indices + self._first_time, word.indices)
        logprob = torch.where(
            timed, time.values - all_times, word.values - torch.logaddexp(all_words, all_times)
        )
        return token, logprob

    def after(self, said: Said, tokens: Tensor) -> Said:
        """What is said when every row has said one of ``tokens`` (rows,) more."""
        time = tokens - self._first_time
        return Said(
            said.count + 1,
            time >= 0,
            said.time_last | (said.count == 0),
            torch.where(time >= 0, time, said.latest),
        )

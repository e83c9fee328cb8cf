"""Whisper's greedy decoding of many windows side by side; rows that are done make room for the next."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Literal

import torch

from extract.nets.whisper_decoder import StaticDecoder
from extract.nets.whisper_rules import Rules, Said
from extract.nets.whisper_windows import AnyWindow, Decoded, Window, Windows
from extract.ops.network.cuda_graph import captured

if TYPE_CHECKING:
    from whisper.model import Whisper
    from whisper.tokenizer import Tokenizer

PROMPT_TOKENS = 3  # start of transcript, language, task
STEPS_PER_LOOK = 4  # tokens between two looks of the host at what is done: each look waits for the device
ROOM = 4  # windows are taken when one in so many rows is free, so that the encoder has a batch too


class GreedyDecoder:
    """The tokens of ``whisper.decode`` at temperature 0, up to ``longest`` for each window.

    ``rows`` windows at a time, of any language. All that is computed of a row depends on that row alone.
    A token step always has the same shape and waits for nothing; on CUDA it is one launch. It is made, and
    runs, under :func:`extract.ops.network.inference.inference`.
    """

    def __init__(
        self,
        network: Whisper,
        tokenizer: Tokenizer,
        task: Literal["transcribe", "translate"],
        *,
        rows: int,
        longest: int,
    ) -> None:
        self.rows, self._longest, self._device = rows, longest, network.device
        self._tokenizer, self._task = tokenizer, task
        positions = -(-(PROMPT_TOKENS + longest) // 8) * 8  # attention kernels like multiples of 8
        self._decoder = StaticDecoder(network, rows=rows, positions=positions)
        self._rules = Rules(tokenizer, network.dims.n_vocab, self._device)
        self._no_speech_token, self._end_of_text = tokenizer.no_speech, tokenizer.eot
        self._attending = rows
        self._row = torch.arange(rows, device=self._device)
        self._prompts = torch.zeros(rows, PROMPT_TOKENS, dtype=torch.long, device=self._device)
        self._texts = torch.zeros(
            rows, longest + 1, dtype=torch.long, device=self._device
        )  # and one to spare
        self._position = torch.zeros_like(self._row)
        self._token = torch.zeros_like(self._row)
        self._said = Said.nothing(rows, self._device)
        self._logprob = torch.zeros(rows, device=self._device)
        self._no_speech = torch.zeros(rows, device=self._device)
        self._done = torch.ones(rows, dtype=torch.bool, device=self._device)
        self._step = captured(self._say_one, self._device)

    def run(self, windows: Windows[AnyWindow], /) -> None:
        rows: dict[int, AnyWindow] = {}
        while True:
            free = [row for row in range(self.rows) if row not in rows]
            taken = dict(zip(free, windows.take(len(free)), strict=False))
            self._begin(taken)
            rows |= taken
            if not rows:
                return
            for row, decoded in self._finished(rows):
                windows.done(rows.pop(row), decoded)

    def _prompt(self, language: str) -> tuple[int, ...]:
        """Start of transcript, language, task."""
        tokenizer = self._tokenizer
        task = tokenizer.translate if self._task == "translate" else tokenizer.transcribe
        return tokenizer.sot, tokenizer.to_language_token(language), task

    def _begin(self, windows: Mapping[int, Window]) -> None:
        """Reset the rows of these windows to the start of their transcripts."""
        if not windows:
            return
        rows = torch.tensor(list(windows), device=self._device)
        prompts = torch.tensor(
            [self._prompt(window.language) for window in windows.values()], device=self._device
        )
        if self._device.type == "cpu":  # one shape, for equal bits whatever begins beside
            for row, window in windows.items():
                self._decoder.hear(slice(row, row + 1), window.features[None])
        else:
            self._decoder.hear(rows, torch.stack([window.features for window in windows.values()]))
        self._prompts[rows] = prompts
        self._token[rows] = prompts[:, 0]
        self._position[rows] = 0
        self._texts[rows] = self._end_of_text
        self._logprob[rows] = 0.0
        self._done[rows] = False
        start = Said.nothing(len(windows), self._device)
        for field in fields(Said):
            getattr(self._said, field.name)[rows] = getattr(start, field.name)

    def _finished(self, rows: Collection[int]) -> Iterator[tuple[int, Decoded]]:
        """Go on until there is room for others, or nothing left to do; what is done by then."""
        if self._device.type == "cpu":  # elsewhere the shape is fixed
            self._attending = max(rows) + 1
        enough = min(len(rows), max(1, len(rows) - self.rows + self.rows // ROOM))
        done: list[int] = []
        while len(done) < enough:
            for _ in range(STEPS_PER_LOOK):
                self._step()
            ended = self._done.tolist()
            done = [row for row in rows if ended[row]]
        return self._results(done)

    def _results(self, rows: Sequence[int]) -> Iterator[tuple[int, Decoded]]:
        # One copy for all: tokens are small enough to be exact in float32.
        found = torch.cat([self._logprob[:, None], self._no_speech[:, None], self._texts.float()], 1).tolist()
        for row in rows:
            logprob, no_speech, *text = found[row]
            length = text.index(self._end_of_text)
            tokens = [int(token) for token in text[:length]]
            yield row, Decoded(tokens, logprob / (length + 1), no_speech)

    def _say_one(self) -> None:
        """One token further in every row that is not done; all tensors change in place."""
        position, said, end = self._position, self._said, self._end_of_text
        logits = self._decoder.logits(self._token, position, attending=self._attending)
        no_speech = (logits[:, self._no_speech_token] - logits.logsumexp(1)).exp()
        torch.where(position == 0, no_speech, self._no_speech, out=self._no_speech)

        token, logprob = self._rules.choose(logits, said)
        speaks = position >= PROMPT_TOKENS - 1  # else the prompt is read
        live = speaks & ~self._done
        token = torch.where(self._done, end, token)
        self._texts[self._row, torch.where(live, said.count, self._longest)] = torch.where(live, token, end)
        self._logprob += torch.where(live, logprob, 0.0)
        after = self._rules.after(said, token)
        for field in fields(Said):
            kept = getattr(said, field.name)
            torch.where(live, getattr(after, field.name), kept, out=kept)
        self._done |= live & ((token == end) | (said.count == self._longest))
        next_of_prompt = self._prompts.gather(1, (position + 1).clamp_max(PROMPT_TOKENS - 1)[:, None])[:, 0]
        torch.where(speaks, token, next_of_prompt, out=self._token)
        self._position += (~self._done).long()

"""The rules of what may be said next, against the package's filters on the same texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from whisper.decoding import ApplyTimestampRules, GreedyDecoder, SuppressBlank, SuppressTokens
from whisper.tokenizer import get_tokenizer

from extract.nets.whisper_rules import LATEST_START, Rules, Said

TOKENS = get_tokenizer(True)
VOCABULARY = 51_865
ROWS = 6
PROMPT = [TOKENS.sot, TOKENS.to_language_token("en"), TOKENS.transcribe]


@pytest.mark.parametrize("times_louder", [-12.0, 0.0, 6.0])
def test_eight_tokens_are_those_of_the_package(times_louder: float) -> None:
    """Words alone, a mix, and times wherever they may be; the end of the text is among them."""
    rng = np.random.default_rng(3)
    suppressed = [
        *TOKENS.non_speech_tokens, TOKENS.transcribe, TOKENS.translate, TOKENS.sot, TOKENS.sot_prev,
        TOKENS.sot_lm, TOKENS.no_speech,
    ]  # fmt: skip
    filters = [
        SuppressBlank(TOKENS, len(PROMPT)),
        SuppressTokens(suppressed),
        ApplyTimestampRules(TOKENS, len(PROMPT), LATEST_START),
    ]
    greedy, rules = GreedyDecoder(0.0, TOKENS.eot), Rules(TOKENS, VOCABULARY, torch.device("cpu"))
    said, texts, sums = (
        Said.nothing(ROWS, torch.device("cpu")),
        torch.tensor([PROMPT] * ROWS),
        torch.zeros(ROWS),
    )
    kinds = set()
    for _ in range(8):
        logits = torch.from_numpy(rng.normal(0, 2, (ROWS, VOCABULARY)).astype(np.float32))
        logits[:, TOKENS.timestamp_begin :] += times_louder + rng.choice([-8.0, 0.0, 8.0])
        mine, logprob = rules.choose(logits, said)
        for each in filters:
            each.apply(logits, texts)
        before, running = sums.clone(), texts[:, -1] != TOKENS.eot
        texts, _ = greedy.update(texts, logits, sums)
        assert mine[running].tolist() == texts[running, -1].tolist()
        torch.testing.assert_close(logprob[running], (sums - before)[running], atol=2e-5, rtol=1e-5)
        said = rules.after(said, texts[:, -1])
        kinds |= {"time" if token >= TOKENS.timestamp_begin else "word" for token in texts[:, -1].tolist()}
    assert "time" in kinds and (times_louder > 0 or "word" in kinds)


def test_a_text_begins_with_a_time_of_the_first_second() -> None:
    rules, device = Rules(TOKENS, VOCABULARY, torch.device("cpu")), torch.device("cpu")
    logits = torch.zeros(2, VOCABULARY)
    logits[0, TOKENS.timestamp_begin + LATEST_START + 1] = 9.0
    logits[0, TOKENS.timestamp_begin + LATEST_START] = 5.0
    logits[1, [TOKENS.eot, TOKENS.encode(" ")[0]]] = 9.0
    logits[1, TOKENS.timestamp_begin] = 1.0
    token, _ = rules.choose(logits, Said.nothing(2, device))
    assert (token - TOKENS.timestamp_begin).tolist() == [LATEST_START, 0]

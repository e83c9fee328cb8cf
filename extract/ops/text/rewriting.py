"""Writing as English sentences: the steps of the public code of Sulun et al. 2024 before its sentiment.

The networks are loaded by transformers from local folders and decode greedily.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from extract.ops.text.spelling import segmented

SURE = 0.9  # probability above which a language is believed
MOST_DETECTED, MOST_TRANSLATED, MOST_SPELT = 512, 200, 512  # tokens
PREFIX = "grammar: "  # what the speller was trained to be asked with
ENGLISH = "eng_Latn"
# NLLB's names of the languages that papluca's detector tells apart.
FLORES = {
    "ar": "arb_Arab", "bg": "bul_Cyrl", "de": "deu_Latn", "el": "ell_Grek", "es": "spa_Latn",
    "fr": "fra_Latn", "hi": "hin_Deva", "it": "ita_Latn", "ja": "jpn_Jpan", "nl": "nld_Latn",
    "pl": "pol_Latn", "pt": "por_Latn", "ru": "rus_Cyrl", "sw": "swh_Latn", "th": "tha_Thai",
    "tr": "tur_Latn", "ur": "urd_Arab", "vi": "vie_Latn", "zh": "zho_Hant",
}  # fmt: skip


class Rewriter:
    """Texts, each once: foreign ones translated, the others respelt; a step without a folder is left out."""

    def __init__(
        self, *, speller: Path | None, languages: Path | None, translator: Path | None, device: str = "cpu"
    ) -> None:
        self._spell = None if speller is None else Seq2Seq(speller, device)
        self._languages = None if languages is None else LanguageDetector(languages, device)
        self._translate = None if translator is None else Seq2Seq(translator, device)

    def __call__(self, texts: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(self._rewritten(text) for text in texts))

    def _rewritten(self, text: str) -> str:
        language = None if self._languages is None else self._languages(text)
        if self._translate is not None and language in FLORES:
            return self._translate(text, start=FLORES[language], target=ENGLISH, most=MOST_TRANSLATED)
        if self._spell is None:
            return text
        return self._spell(PREFIX + segmented(text), most=MOST_SPELT)


class Seq2Seq:
    """A text-to-text network of a folder with config.json, tokenizer.json and weights."""

    def __init__(self, folder: Path, device: str) -> None:
        from tokenizers import Tokenizer
        from transformers import AutoModelForSeq2SeqLM

        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        model: Any = AutoModelForSeq2SeqLM.from_pretrained(str(folder), local_files_only=True)
        self._model = model.to(device).eval()

    def __call__(self, text: str, *, most: int, start: str | None = None, target: str | None = None) -> str:
        """``start`` is the token before the text in place of the tokenizer's own, ``target`` the answer's."""
        import torch

        if start is None:
            ids = self._tokenizer.encode(text).ids
        else:
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids
            ids = [self._tokenizer.token_to_id(start), *ids, self._model.config.eos_token_id]
        forced = {} if target is None else {"forced_bos_token_id": self._tokenizer.token_to_id(target)}
        inputs = torch.tensor([ids], device=self._model.device)
        with torch.inference_mode():
            answer = self._model.generate(
                input_ids=inputs,
                attention_mask=torch.ones_like(inputs),
                max_length=most,
                num_beams=1,
                do_sample=False,
                **forced,
            )
        return str(self._tokenizer.decode(answer[0].tolist(), skip_special_tokens=True)).strip()


class LanguageDetector:
    """The code of a text's language, or None where the network is not sure."""

    def __init__(self, folder: Path, device: str) -> None:
        from tokenizers import Tokenizer
        from transformers import AutoModelForSequenceClassification

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MOST_DETECTED)
        model: Any = AutoModelForSequenceClassification.from_pretrained(str(folder), local_files_only=True)
        self._model = model.to(device).eval()

    def __call__(self, text: str) -> str | None:
        import torch

        ids = torch.tensor([self._tokenizer.encode(text).ids], device=self._model.device)
        with torch.inference_mode():
            shares = self._model(input_ids=ids).logits[0].softmax(-1)
        best = int(shares.argmax())
        return str(self._model.config.id2label[best]) if float(shares[best]) > SURE else None

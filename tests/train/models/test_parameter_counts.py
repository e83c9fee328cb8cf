"""The numbers of parameters in docs/results.md are those of the presets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from train.model import SolvedModel
from train.registry import make_model, model_class
from train.runs.train_model import size_of
from train.settings import choose, preset_names

DOCUMENT = Path(__file__).parents[3] / "docs" / "results.md"
ROW = re.compile(r"^\| `([\w-]+/[\w-]+)`[^|]*\| ([\d,]+) \|", re.MULTILINE)
DOCUMENTED = {name: int(count.replace(",", "")) for name, count in ROW.findall(DOCUMENT.read_text("utf-8"))}
GENRES = {"wehrmann2017": 9, "wehrmann2017-code": 9, "fish2021": 20, "lebaron2021": 13}  # of others 21
DIMS = {
    "clip": 512, "panns": 128, "musicnet": 64, "ocr_distilbert": 768, "asr_distilbert": 768,
    "beats": 768, "face_emotion": 768, "asr_sentiment": 768, "ocr_sentiment": 768, "vit": 768, "ast": 768,
    "senet": 2048, "places": 512, "i3d_flow": 1024, "r2plus1d": 512, "vggish": 128,
    "resnet152": 2048, "spectrogram": 130 * 513, "i3d_rgb": 1024,
    "vgg16": 4096, "poster": 4096, "words": 300, "metadata": 11_113,
}  # fmt: skip


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_has_as_many_parameters_as_documented(name: str) -> None:
    chosen = choose(preset=name)
    if issubclass(model_class(chosen.model), SolvedModel):
        assert name not in DOCUMENTED, "its size depends on the data"
        return
    options: dict[str, Any] = dict(chosen.model_options)
    if chosen.model == "multi-transformer":  # as a training does
        options["averaged"] = [expert for expert, steps in chosen.steps.items() if steps.get("mean")]
    with torch.device("meta"):
        inputs = {expert: DIMS[expert] for expert in chosen.experts}
        model = make_model(chosen.model, inputs, GENRES.get(name.partition("/")[0], 21), options)
    assert size_of(model) == DOCUMENTED[name]

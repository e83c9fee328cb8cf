"""Two small models in open_clip's registry, with drawn weights in files of the published format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

CLIP_NAME, SIGLIP_NAME = "ViT-tiny-8", "ViT-tiny-16-SigLIP2"
WORDS = ["a", "car", "chase", "at", "night", "two", "people", "kiss", "photo", "of", "the", "sea", "day"]
_VISION: dict[str, Any] = {"image_size": 32, "layers": 1, "width": 64, "head_width": 16, "patch_size": 8}
_TEXT: dict[str, Any] = {"context_length": 16, "width": 32, "heads": 2, "layers": 1}
CONFIGS: dict[str, dict[str, Any]] = {
    CLIP_NAME: {"embed_dim": 24, "vision_cfg": _VISION, "text_cfg": {**_TEXT, "vocab_size": 49408}},
    SIGLIP_NAME: {
        "embed_dim": 64,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 48,
            "timm_model_name": "test_vit",
            "timm_pool": "map",
            "timm_proj": "none",
        },
        "text_cfg": {
            **_TEXT,
            "vocab_size": 40,
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
        },
    },
}


@dataclass(frozen=True)
class Registered:
    """A model as open_clip itself makes it, and the folder that has its published file."""

    name: str
    model: Any
    transform: Any
    tokenizer: Any
    folder: Path


@contextmanager
def registered(folder: Path) -> Iterator[dict[str, Registered]]:
    """Both models, known to open_clip until the end; SigLIP's tokenizer is one of words."""
    open_clip = pytest.importorskip("open_clip", reason="needs open_clip: pip install open-clip-torch")
    from open_clip import pretrained
    from safetensors.torch import save_file

    from extract.experts import _open_clip

    sources = {
        CLIP_NAME: {"drawn": pretrained._pcfg(hf_hub="somebody/tiny-clip/", quick_gelu=True)},
        SIGLIP_NAME: {"webli": pretrained._slpcfg(hf_hub="somebody/tiny-siglip/")},
    }
    words = folder / "words"
    _save_tokenizer(words)
    with pytest.MonkeyPatch.context() as patch:
        for name, config in CONFIGS.items():
            patch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)
            patch.setitem(pretrained._PRETRAINED, name, sources[name])
        patch.setitem(CONFIGS[SIGLIP_NAME]["text_cfg"], "hf_tokenizer_name", str(words))
        quick = f"{CLIP_NAME}-quickgelu"
        patch.setitem(open_clip.factory._MODEL_CONFIGS, quick, {**CONFIGS[CLIP_NAME], "quick_gelu": True})
        patch.setitem(pretrained._PRETRAINED, quick, sources[CLIP_NAME])
        _open_clip.published_model.cache_clear()
        found = {}
        for name, tags in sources.items():
            (tag, source), *_ = tags.items()
            architecture = quick if name == CLIP_NAME else name
            place = folder / source["hf_hub"].split("/")[1]
            place.mkdir()
            torch.manual_seed(len(name))
            drawn = open_clip.create_model(architecture)
            state = {key: tensor.contiguous() for key, tensor in drawn.state_dict().items()}
            save_file(state, place / "open_clip_model.safetensors")
            # what anybody who has the file and the tag would do with open_clip alone
            patch.setitem(source, "file", str(place / "open_clip_model.safetensors"))
            model, _, transform = open_clip.create_model_and_transforms(architecture, pretrained=tag)
            tokenizer = open_clip.get_tokenizer(architecture)
            found[name] = Registered(f"{architecture}:{tag}", model.eval(), transform, tokenizer, folder)
        yield found
        _open_clip.published_model.cache_clear()


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<unk>", *dict.fromkeys(WORDS)]
    tokenizer = Tokenizer(WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>").save_pretrained(
        folder
    )

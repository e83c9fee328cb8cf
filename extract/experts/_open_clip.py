"""Image-text models of open_clip by name: published files, preprocessing, and their two towers.

Importing open_clip takes five seconds of a processor (torchvision, timm, transformers). It is done only where
a model is named or a text is encoded, never beside the decoder, where :class:`ImageTextModel` says enough.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Resources
from extract.errors import MissingDependency, UsageError, WeightsError, did_you_mean, to_install
from extract.experts._pictures import Normalisation
from extract.ops.network.inference import inference
from extract.options import Form
from extract.weights.checkpoints import fill, load_state_dict, to_be_filled
from extract.weights.files import WeightFile
from extract.weights.hashing import sha256_of

if TYPE_CHECKING:
    import torch

ModelName = Annotated[
    str, Form(r"[\w.-]+(:[\w.-]+)?", "a model of open_clip, as ViT-L-14:openai or ViT-B-16-SigLIP2")
]
TextEncoder = Callable[[Sequence[str]], NDArray[np.float32]]
Resize = Literal["shorter", "longer", "squash"]
_RESIZE: Mapping[str, Resize] = {"shortest": "shorter", "longest": "longer", "squash": "squash"}
_QUICK = "-quickgelu"  # open_clip's name for the same architecture with the GELU that OpenAI trained with
_HUB = "https://huggingface.co"
_TEXTS = 32  # encoded at a time
_TOKENIZER_CONFIG = "tokenizer_config.json"
# Vocabularies under the names that the tokenizers of open_clip's models have on the hub.
_VOCABULARIES = ("spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json", "merges.txt")
_TOKENIZER_FILES = ("tokenizer.json", *_VOCABULARIES, _TOKENIZER_CONFIG)


@dataclass(frozen=True)
class ImageTextModel:
    """What open_clip's own configuration says of a published model.

    ``architecture`` and ``tag`` are its names there; pictures become ``size`` by ``size`` pixels, in RGB, and
    (x / 255 - ``mean``) / ``std``; vectors have ``dimension`` values.
    """

    architecture: str
    tag: str
    dimension: int
    size: int
    resize: Resize
    interpolation: Literal["bicubic", "bilinear"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def name(self) -> str:
        return f"{self.architecture}:{self.tag}"

    @property
    def normalisation(self) -> Normalisation:
        return Normalisation(self.mean, self.std)


VIT_B_32 = ImageTextModel(
    "ViT-B-32-quickgelu",
    "openai",
    dimension=512,
    size=224,
    resize="shorter",
    interpolation="bicubic",
    mean=(0.48145466, 0.4578275, 0.40821073),  # open_clip's OPENAI_DATASET_MEAN and _STD
    std=(0.26862954, 0.26130258, 0.27577711),
)


@lru_cache
def published_model(name: str) -> ImageTextModel:
    """The model ``ARCHITECTURE:TAG``, or ``ARCHITECTURE`` where open_clip has one published file of it.

    A file that was trained with OpenAI's approximation of GELU gets the architecture that has it, which
    open_clip's own ``create_model`` only warns about. Raises UsageError for a name that it does not have.
    """
    library = _open_clip()
    known: dict[str, list[str]] = {}
    for one, tag in library.list_pretrained():
        known.setdefault(one, []).append(tag)
    architecture, _, tag = name.partition(":")
    if architecture not in known:
        raise UsageError(
            f"clip.model is {name!r}; open_clip has no published model of that name"
            f"{did_you_mean(architecture, known)}; open_clip.list_pretrained() lists all {len(known)}"
        )
    tags = known[architecture]
    if not tag and len(tags) == 1:
        tag = tags[0]
    if tag not in tags:
        raise UsageError(
            f"clip.model is {name!r}; {architecture} is published as {', '.join(tags)}: name one, as in "
            f"{architecture}:{tags[0]}"
        )
    source = library.get_pretrained_cfg(architecture, tag)
    if source.get("quick_gelu") and not library.get_model_config(architecture).get("quick_gelu"):
        architecture += _QUICK
    config = library.get_model_config(architecture)
    return ImageTextModel(
        architecture,
        tag,
        dimension=config["embed_dim"],
        size=config["vision_cfg"].get("image_size", 224),
        resize=_RESIZE[source["resize_mode"]],
        interpolation=source["interpolation"],
        mean=tuple(source["mean"]),
        std=tuple(source["std"]),
    )


def model_named(name: str | None) -> ImageTextModel:
    """As :func:`published_model`; without a name the default, which needs no open_clip."""
    return VIT_B_32 if name in (None, VIT_B_32.name) else published_model(str(name))


def weight_file(model: ImageTextModel) -> WeightFile:
    """The published file, of both towers, where open_clip itself would get it."""
    source = _open_clip().get_pretrained_cfg(model.architecture, model.tag)
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    files = []
    if source.get("hf_hub"):
        repository, file = os.path.split(source["hf_hub"])
        pickled = file or HF_WEIGHTS_NAME
        safe = f"{Path(file).stem}.safetensors" if file else HF_SAFE_WEIGHTS_NAME
        short = repository.rpartition("/")[2]
        names = (pickled, safe) if file else (safe, pickled)  # as far as is known which of them is there
        files = [(f"{short}/{each}", f"{_HUB}/{repository}/resolve/main/{each}") for each in names]
    if source.get("url"):
        files.append((os.path.basename(source["url"]), source["url"]))
    versions = [
        WeightFile(
            role="model",
            name=name,
            sha256=_published_sha256(url),
            url=url,
            size_bytes=None,
            licence="as its publisher says",
        )
        for name, url in files
    ]
    versions.sort(key=lambda version: version.sha256 is None)  # a file with a hash first
    first, *others = versions
    return WeightFile(**{**vars(first), "alternatives": tuple(others)})


def image_tower(model: ImageTextModel) -> torch.nn.Module:
    """(batch, 3, size, size), normalised -> (batch, dimension), of any length, as ``encode_image``."""
    from open_clip.model import _build_vision_tower

    config = _configuration(model)
    tower: torch.nn.Module = _build_vision_tower(
        config["embed_dim"], config["vision_cfg"], config.get("quick_gelu", False)
    )
    return tower


def image_tensors(path: Path) -> Mapping[str, torch.Tensor]:
    """Those of the image tower of a published file."""
    state = load_state_dict(path)
    return {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")} or state


def text_encoder(model: ImageTextModel, resources: Resources) -> TextEncoder:
    """Texts -> float32 (texts, dimension), of any length, as open_clip's ``encode_text`` gives them.

    The tokenizer is open_clip's for that model; texts that are longer than it takes are cut off. Raises
    MissingDependency without open_clip, WeightsError for a file of another model, and where the files of a
    tokenizer of the Hugging Face hub are not on this machine and cannot be downloaded.
    """
    library, config = _open_clip(), _configuration(model)
    from open_clip.model import _build_text_tower

    with _files_of_the_hub(model), to_be_filled():
        tokenize: Any = library.get_tokenizer(model.architecture)
        tower = _build_text_tower(config["embed_dim"], config["text_cfg"], config.get("quick_gelu", False))
    ignored = ("transformer.embeddings.position_ids",)  # older files have them, and nothing reads them
    fill(tower, resources, "model", _text_tensors, what=f"{model.name} (text tower)", ignore_prefixes=ignored)
    tower.to(resources.device).eval()

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        found = [np.zeros((0, model.dimension), np.float32)]
        for start in range(0, len(texts), _TEXTS):
            tokens = tokenize(list(texts[start : start + _TEXTS])).to(resources.device)
            with inference(resources.device):
                found.append(tower(tokens).float().cpu().numpy())
        return np.concatenate(found)

    return encode


def tokenizer_files(model: ImageTextModel) -> dict[str, str]:
    """The files of the hub that a model's tokenizer is read from: SHA-256 by name.

    Empty where it is the one that open_clip carries. Raises MissingDependency without open_clip, WeightsError
    where the files are not on this machine and cannot be downloaded.
    """
    source = None if model == VIT_B_32 else _configuration(model)["text_cfg"].get("hf_tokenizer_name")
    if not source:
        return {}
    with _files_of_the_hub(model):
        found = _cached(source)
        if not found:
            _open_clip().get_tokenizer(model.architecture)  # downloads it
            found = _cached(source)
    return found


def _cached(source: str) -> dict[str, str]:
    """SHA-256 of a tokenizer's files, in a folder or in the cache of the hub; empty without a vocabulary."""
    from transformers.utils import cached_file

    absent = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors")}
    paths = {name: cached_file(source, name, local_files_only=True, **absent) for name in _TOKENIZER_FILES}
    if paths["tokenizer.json"]:  # has all of the vocabulary, and is what transformers reads
        paths = {name: paths[name] for name in ("tokenizer.json", _TOKENIZER_CONFIG)}
    found = {name: sha256_of(Path(path)) for name, path in paths.items() if path}
    return found if found.keys() - {_TOKENIZER_CONFIG} else {}


@contextmanager
def _files_of_the_hub(model: ImageTextModel) -> Iterator[None]:
    """Says as WeightsError what transformers raises where it cannot load them."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        source = _configuration(model)["text_cfg"].get("hf_tokenizer_name") or model.architecture
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"the tokenizer of {model.name} ({source}) cannot be loaded: {why}; let this machine "
            "reach the hub once, or copy the hub's cache here (HF_HOME)"
        ) from error


def _text_tensors(path: Path) -> Mapping[str, torch.Tensor]:
    """Those of the text tower: under ``text.``, or in OpenAI's layout beside ``visual.``."""
    state = load_state_dict(path)
    inner = {k.removeprefix("text."): v for k, v in state.items() if k.startswith("text.")}
    return inner or {k: v for k, v in state.items() if not k.startswith(("visual.", "logit_"))}


def _configuration(model: ImageTextModel) -> dict[str, Any]:
    """open_clip's own, for towers that give nothing but their vectors and fetch no weights."""
    config: dict[str, Any] = _open_clip().get_model_config(model.architecture)
    config["vision_cfg"] |= {"output_tokens": False, "timm_model_pretrained": False}
    config["text_cfg"] |= {"output_tokens": False, "hf_model_pretrained": False}
    return config


def cites_of(model: ImageTextModel) -> tuple[str, ...]:
    """What to cite beside CLIP itself: keys of the references."""
    siglip = {"siglip2": "tschannen2025siglip2", "siglip": "zhai2023siglip"}
    family = next((key for part, key in siglip.items() if part in model.architecture.casefold()), None)
    found = ((family,) if family else ()) + (("cherti2023openclip",) if "laion" in model.tag else ())
    return () if model == VIT_B_32 else ("ilharco2021openclip", *found)


def _published_sha256(url: str) -> str | None:
    """OpenAI's URLs have the hash as a folder, those of open_clip's releases its beginning in the name."""
    if "openaipublic" in url:
        return url.split("/")[-2]
    if "mlfoundations" in url:
        return Path(url).stem.rpartition("-")[2]
    return None


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise MissingDependency(
            f"this needs open_clip, not installed here: {to_install('meaning')}"
        ) from error
    return open_clip

"""The published networks of openai-whisper: their files, sizes and loading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from extract.declarations import Resources
from extract.ops.network.inference import placed
from extract.weights.checkpoints import fill, to_be_filled
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    from whisper.model import Whisper

# The English-only files (tiny.en, ...) are left out: they cannot tell a language.
ModelName = Literal["tiny", "base", "small", "medium", "large-v1", "large-v2", "large-v3", "turbo"]
MODEL_NAMES: tuple[ModelName, ...] = get_args(ModelName)

URL = "https://openaipublic.azureedge.net/main/whisper/models"

# openai/whisper, whisper/__init__.py: the hash is part of each file's address.
SHA256: dict[ModelName, str] = {
    "tiny": "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9",
    "base": "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e",
    "small": "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794",
    "medium": "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1",
    "large-v1": "e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a",
    "large-v2": "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524",
    "large-v3": "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb",
    "turbo": "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a",
}

# Radford et al. 2022, table 1: width, heads, encoder layers; decoder layers differ for turbo alone.
_SIZES: dict[ModelName, tuple[int, int, int]] = {
    "tiny": (384, 6, 4),
    "base": (512, 8, 6),
    "small": (768, 12, 12),
    "medium": (1024, 16, 24),
    "large-v1": (1280, 20, 32),
    "large-v2": (1280, 20, 32),
    "large-v3": (1280, 20, 32),
    "turbo": (1280, 20, 32),
}
_NEWER = ("large-v3", "turbo")  # 128 mel bands and one language more


def knows_cantonese(name: ModelName) -> bool:
    """Whether the model has the hundredth language, ``yue``."""
    return name in _NEWER


def dimensions(name: ModelName) -> dict[str, int]:
    """Arguments of ``whisper.model.ModelDimensions``, equal to the published file's ``dims``."""
    width, heads, layers = _SIZES[name]
    newer = name in _NEWER
    return {
        "n_mels": 128 if newer else 80,
        "n_audio_ctx": 1500,
        "n_audio_state": width,
        "n_audio_head": heads,
        "n_audio_layer": layers,
        "n_vocab": 51866 if newer else 51865,
        "n_text_ctx": 448,
        "n_text_state": width,
        "n_text_head": heads,
        "n_text_layer": 4 if name == "turbo" else layers,
    }


def weight_file(name: ModelName) -> WeightFile:
    """The model's published file."""
    file = "large-v3-turbo.pt" if name == "turbo" else f"{name}.pt"
    size = 1_617_941_637 if name == "turbo" else None
    return WeightFile("model", file, SHA256[name], f"{URL}/{SHA256[name]}/{file}", size, "MIT")


# What faster-whisper downloads; the older ones come with the vocabulary as text.
CONVERTED_URL = "https://huggingface.co/{0}/resolve/main/{1}"
TURBO = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"


def converted_files(name: ModelName) -> tuple[WeightFile, ...]:
    """The model as CTranslate2 reads it: files of one folder, without published hashes."""
    repository = TURBO if name == "turbo" else f"Systran/faster-whisper-{name}"

    def file(role: str, base: str, *alternatives: WeightFile) -> WeightFile:
        return WeightFile(
            role=role,
            name=f"{repository.rpartition('/')[2]}/{base}",
            sha256=None,
            url=CONVERTED_URL.format(repository, base),
            size_bytes=None,
            licence="MIT",
            alternatives=alternatives,
        )

    vocabularies = ("vocabulary.json", "vocabulary.txt")
    published, other = vocabularies if name in _NEWER else reversed(vocabularies)
    return (
        file("model", "model.bin"),
        file("config", "config.json"),
        file("vocabulary", published, file("vocabulary", other)),
    )


def load_network(name: ModelName, resources: Resources) -> Whisper:
    """openai-whisper's network with published weights, or seeded ones for dry runs.

    Below float32 its layer norms, and what is added to them, keep float32, as in the package.

    The files are float16, their sinusoids too, and these are read rather than recomputed.
    Raises WeightsError if the file does not hold this model.
    """
    from torch.nn import LayerNorm
    from whisper.model import ModelDimensions, TextDecoder, Whisper

    with to_be_filled():
        network = Whisper(ModelDimensions(**dimensions(name)))
    fill(network, resources, "model", what=f"Whisper {name}")
    return placed(network, resources, float32=(LayerNorm, TextDecoder))

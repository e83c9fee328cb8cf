"""Models of the Hugging Face hub that are published as several files, which must lie in one folder."""

from __future__ import annotations

from pathlib import Path

from extract.declarations import Resources
from extract.errors import WeightsError
from extract.weights.files import WeightFile


def folder_files(
    part: str,
    repository: str,
    licence: str,
    *,
    model: str | None = None,
    others: tuple[str, ...] = ("config.json", "tokenizer.json"),
) -> tuple[WeightFile, ...]:
    """The weights of a repository without published hashes, and its ``others``.

    ``part`` comes before their roles: ``model``, and the names of the others without suffix. ``model`` is the
    one file of weights that the repository has; None: ``model.safetensors``, or ``pytorch_model.bin`` in its
    place.
    """

    def file(role: str, name: str, *alternatives: WeightFile) -> WeightFile:
        return WeightFile(
            role=f"{part}/{role}" if part else role,
            name=f"{repository.rpartition('/')[2]}/{name}",
            sha256=None,
            url=f"https://huggingface.co/{repository}/resolve/main/{name}",
            size_bytes=None,
            licence=licence,
            alternatives=alternatives,
        )

    pickled = "pytorch_model.bin"
    weights = file("model", model) if model else file("model", "model.safetensors", file("model", pickled))
    return (weights, *(file(name.partition(".")[0], name) for name in others))


def folder_of(resources: Resources, part: str) -> Path:
    """The one folder of a part's files. Raises WeightsError where they are scattered."""
    folders = sorted({p.parent for role, p in resources.weights.items() if role.startswith(f"{part}/")})
    if len(folders) != 1:
        places = ", ".join(map(str, folders)) or "none"
        raise WeightsError(f"the files of the {part} must be in one folder, not in {places}")
    return folders[0]

"""Texts and pictures as vectors in the space of a store's ``clip`` rows: the same published file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Expert, Resources
from extract.errors import MediaError, MissingDependency, UsageError, WeightsError, to_install
from extract.registry import make_expert
from extract.selection import choose_device
from extract.weights.checkpoints import to_be_filled
from extract.weights.locate import resolve
from pipeline.search.vectors import vector_footer
from pipeline.store.layout import Store

TABLE = "clip"
_ARCHITECTURE = "ViT-B-32-quickgelu"  # open_clip's name of OpenAI's ViT-B/32

Vectors = NDArray[np.float32]


class Meaning:
    """The two towers of the file that a store's ``clip`` rows were made with.

    Raises UsageError for a store without such rows or with rows of random weights, WeightsError where the
    file is not there or is another one.
    """

    def __init__(
        self, store: Store, weights: Path | None = None, *, device: str = "auto", download: bool = True
    ) -> None:
        made_of = vector_footer(store, TABLE).header.target.made_of
        if made_of.get("random_seed") is not None:
            raise UsageError("the store's clip rows have random weights: they mean nothing")
        options = {k: v for k, v in made_of.get("settings", {}).items() if k != "version"}
        self._expert: Expert = make_expert(TABLE, options)
        self._weights = resolve({TABLE: self._expert.weights()}, weights, download=download)[TABLE]
        wanted = made_of.get("weights", {}).get("model")
        if self._weights["model"].sha256 != wanted:
            raise WeightsError(
                f"{str(self._weights['model'].path)!r} is not the file that the store's clip rows were made "
                f"with (SHA-256 {str(wanted)[:12]}...): give the folder that has it with --weights"
            )
        self._device = choose_device(device)

    def of_texts(self, texts: Sequence[str]) -> Vectors:
        """(texts, 512), as open_clip's text tower gives them."""
        try:
            import open_clip
        except ImportError as error:
            raise MissingDependency(
                f"searching by meaning needs open_clip, not installed here: {to_install('meaning')}"
            ) from error
        import torch

        path = self._weights["model"].path
        with to_be_filled():
            model: Any = open_clip.create_model(_ARCHITECTURE, pretrained=str(path), device=self._device)
        tokens = open_clip.get_tokenizer(_ARCHITECTURE)(list(texts)).to(self._device)
        with torch.inference_mode():
            return np.asarray(model.eval().encode_text(tokens).float().cpu().numpy())

    def of_pictures(self, paths: Sequence[Path]) -> Vectors:
        """(pictures, 512), preprocessed as the store's keyframes were. Raises MediaError for no picture."""
        from PIL import Image, UnidentifiedImageError

        images = []
        for path in paths:
            try:
                with Image.open(path) as picture:
                    images.append(self._expert.crop(np.asarray(picture.convert("RGB"))))  # type: ignore[attr-defined]
            except (OSError, UnidentifiedImageError) as error:
                raise MediaError(f"--image {str(path)!r} cannot be read as a picture: {error}") from error
        files = {role: found.path for role, found in self._weights.items()}
        model: Any = self._expert.load(Resources(device=self._device, weights=files))
        return np.asarray(model.vectors(np.stack(images)))

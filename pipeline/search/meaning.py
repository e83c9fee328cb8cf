"""Texts and pictures as vectors in the space of a store's ``clip`` rows: the same published file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from extract.declarations import Resources
from extract.errors import MediaError, UsageError, WeightsError
from extract.experts._open_clip import text_encoder
from extract.experts.clip import Clip
from extract.registry import make_expert
from extract.selection import choose_device
from extract.weights.locate import resolve
from pipeline.recorded import options_of
from pipeline.search.vectors import vector_footer
from pipeline.store.layout import Store
from pipeline.vectors.vector_file import Vectors

TABLE = "clip"


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
        expert = make_expert(TABLE, options_of(TABLE, made_of))
        assert isinstance(expert, Clip)
        self._expert = expert
        self._weights = resolve({TABLE: self._expert.weights()}, weights, download=download)[TABLE]
        wanted = made_of.get("weights", {}).get("model")
        if self._weights["model"].sha256 != wanted:
            raise WeightsError(
                f"{str(self._weights['model'].path)!r} is not the file that the store's clip rows were made "
                f"with (SHA-256 {str(wanted)[:12]}...): give the folder that has it with --weights"
            )
        self._device = choose_device(device)

    def of_texts(self, texts: Sequence[str]) -> Vectors:
        """(texts, dimension), as open_clip's text tower gives them. Raises MissingDependency without it."""
        return text_encoder(self._expert.model, self._resources())(texts)

    def of_pictures(self, paths: Sequence[Path]) -> Vectors:
        """(pictures, dimension), preprocessed as the store's keyframes. Raises MediaError for no picture."""
        from PIL import Image, UnidentifiedImageError

        images = []
        for path in paths:
            try:
                with Image.open(path) as picture:
                    images.append(self._expert.crop(np.asarray(picture.convert("RGB"))))
            except (OSError, UnidentifiedImageError) as error:
                raise MediaError(f"--image {str(path)!r} cannot be read as a picture: {error}") from error
        model: Any = self._expert.load(self._resources())
        return np.asarray(model.vectors(np.stack(images)))

    def _resources(self) -> Resources:
        files = {role: found.path for role, found in self._weights.items()}
        return Resources(device=self._device, weights=files)

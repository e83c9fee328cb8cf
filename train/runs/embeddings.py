"""Videos as vectors: what a trained model's last layers see of them. For retrieval and maps."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.location import Location
from pipeline.store.layout import Store
from train.loading.batch import Batch
from train.model import GenreModel
from train.runs.run_folder import RunFolder
from train.runs.run_store import batches_of
from train.runs.scores import outputs_of
from train.settings import Hardware, hardware_of


def embeddings_of(
    model: GenreModel, batches: Iterable[Batch], *, device: str = "cpu", precision: str = "float32"
) -> tuple[list[str], NDArray[np.float32]]:
    """Ids and :meth:`train.model.GenreModel.embed` of every video, (videos, width), as ``batches`` have them.

    Of no videos the width is 0.
    """
    return outputs_of(model, batches, model.embed, device=device, precision=precision)


def embed_store(
    run: RunFolder | str | os.PathLike[str],
    store: Store | Location | str | os.PathLike[str],
    *,
    hardware: Hardware | None = None,
    allow_random_weights: bool = False,
) -> tuple[list[str], NDArray[np.float32]]:
    """The same of every video of a store that has something of the run's experts, by id.

    Raises DataError where the store's rows are not those that the run was trained on.
    """
    run, hardware = RunFolder.of(run), hardware_of(hardware)
    model = run.load_model()
    batches = batches_of(run, model, store, allow_random_weights=allow_random_weights, pin=hardware.on_gpu)
    return embeddings_of(model, batches, device=hardware.torch_device, precision=hardware.precision)

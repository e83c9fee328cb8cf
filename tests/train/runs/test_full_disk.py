"""A disk that takes no more is said in one line, and leaves nothing half-written."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from extract.errors import StoreError
from train.dashboards import Dashboards
from train.loading.tensor_file import save_whole
from train.registry import make_model
from train.runs.run_folder import RunFolder


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder, as long as no file can be longer than 100 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_model_that_does_not_fit(full: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot write '.*model\.safetensors': File too large"):
        RunFolder(full).save_model(make_model("mlp", {"clip": 40}, 2))
    assert not list(full.iterdir())


class FullWriter:
    """TensorBoard's, on a full disk."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_curves_that_do_not_fit(tmp_path: Path) -> None:
    curves = Dashboards(tmp_path, wandb=None)
    vars(curves)["_tensorboard"] = FullWriter()
    with pytest.raises(StoreError, match=r"cannot write '.*tensorboard': No space left"):
        curves.write(1, {"loss": 0.5})
    curves.close()  # which would hide what ended the training


def test_a_checkpoint_that_does_not_fit(full: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot write '.*last\.ckpt': File too large"):
        save_whole(full / "last.ckpt", {"weights": torch.zeros(1000)})
    assert not list(full.iterdir())

"""The curves of a training where they can be watched: TensorBoard and, on request, Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.errors import MissingDependency, StoreError, to_install
from pipeline.storage.atomic import refusal

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Dashboards:
    """Of the run in ``folder``; TensorBoard's files are in it. ``wandb`` names a project of Weights & Biases.

    Raises MissingDependency where that package is not installed.
    """

    def __init__(self, folder: Path, wandb: str | None) -> None:
        self._folder = folder / "tensorboard"
        self._wandb = (
            None if wandb is None else wandb_package().init(project=wandb, name=folder.name, dir=folder)
        )

    @cached_property
    def _tensorboard(self) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter  # no step waits for it

        return SummaryWriter(self._folder)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Raises StoreError where the disk refuses."""
        try:
            for name, value in figures.items():
                self._tensorboard.add_scalar(name, value, step)
        except OSError as error:
            raise StoreError(refusal(self._folder, error)) from error
        if self._wandb is not None:
            self._wandb.log(dict(figures), step=step)

    def close(self) -> None:
        if "_tensorboard" in vars(self):
            with suppress(OSError):  # of a full disk: the training has said it, or needs no more of it
                self._tensorboard.close()
        if self._wandb is not None:
            self._wandb.finish()


def wandb_package() -> Any:
    """The package of Weights & Biases. Raises MissingDependency."""
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"--wandb needs a package that is not installed: {to_install('wandb')}"
        ) from error
    return wandb

"""The training loop: Lightning's, over the epochs of any Learner, with checkpoints to resume from exactly.

A checkpoint holds weights, optimiser, early stopping and where the loader stands; what a step draws from
chance follows from its number (:mod:`train.runs.learner`). So a run that was killed at any instant and
started again ends with the weights of one that was not: on a CPU to the bit, on a GPU up to the order in
which its kernels add.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from extract.errors import MissingDependency, to_install
from train.errors import DataError
from train.loading.batch import Batch
from train.log import Log, silent
from train.runs.genre_learner import MAP
from train.runs.learner import Learner
from train.runs.run_folder import RunFolder
from train.settings import Hardware


class Batches(Protocol):
    """What the loop wants of a loader: batches of one epoch, from where ``load_state_dict`` put it."""

    def __iter__(self) -> Iterator[Batch]: ...
    def __len__(self) -> int: ...
    def set_epoch(self, epoch: int) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class Trained:
    """How a training went; ``seconds`` up to the last checkpoint, of all processes that went on with it.

    ``best_map`` is NaN where no mAP was measured. ``networks``: those that were trained each alone, by name;
    then epochs are the most of one, steps and seconds those of all, and the mAP is that of the whole model.
    """

    epochs: int
    best_epoch: int
    best_map: float
    steps: int
    seconds: float
    networks: Mapping[str, Trained] = field(default_factory=dict)


def train(
    module: Learner,
    training: Callable[[int, int], Batches],
    validation: Batches,
    *,
    run: RunFolder,
    hardware: Hardware,
    log: Log | None = None,
    wandb: str | None = None,
) -> Trained | None:
    """Train until the epochs are over or nothing improves; resumes from the run's last checkpoint.

    ``training`` is called with the number of this process and how many there are, and gives its batches;
    every process validates on the whole of ``validation``.

    Afterwards ``module`` has the weights of the best epoch, or of the last where none counts as the best.
    None in a process that only helped (several GPUs). Raises DataError where the loss is NaN or infinite.
    """
    options = module.training_options
    progress = _Progress(run, log, module.monitor)
    with _quiet():
        trainer = Trainer(
            **hardware.trainer,
            max_epochs=options.epochs,
            gradient_clip_val=options.clip,
            callbacks=[*_best(run, module), progress, _LastCheckpoint(run, options.checkpoint_steps)],
            logger=_loggers(run, wandb),
            plugins=[_AtomicCheckpoints()],
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        last = run.last_checkpoint
        try:
            trainer.fit(
                module,
                datamodule=_Loaders(training, validation),
                ckpt_path=str(last) if last.exists() else None,
                weights_only=True,
            )
        except SystemExit as error:  # what Lightning makes of an interrupt
            raise KeyboardInterrupt from error
    if not trainer.is_global_zero:
        return None
    best_epoch = trainer.current_epoch
    if module.monitor is not None:
        best_epoch = _load_best(module, run)["epoch"] + 1
    return Trained(
        epochs=trainer.current_epoch,
        best_epoch=best_epoch,
        best_map=progress.best_map,
        steps=trainer.global_step,
        seconds=progress.seconds,
    )


def _best(run: RunFolder, module: Learner) -> list[Callback]:
    """What goes by the validation: the best weights, and when to stop."""
    if module.monitor is None:
        return []
    (monitor, mode), options = module.monitor, module.training_options
    best = ModelCheckpoint(
        dirpath=run.checkpoints,
        filename=run.best_checkpoint.stem,
        monitor=monitor,
        mode=mode,
        save_weights_only=True,
        enable_version_counter=False,
        save_on_train_epoch_end=False,  # before last.ckpt, which has to know of it
    )
    if options.patience is None:
        return [best]
    return [
        best,
        _EarlyStopping(monitor, mode=mode, patience=options.patience, check_on_train_epoch_end=False),
    ]


def _load_best(module: Learner, run: RunFolder) -> dict[str, Any]:
    import torch

    checkpoint: dict[str, Any] = torch.load(run.best_checkpoint, map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    return checkpoint


def _loggers(run: RunFolder, wandb: str | None) -> list[Logger]:
    loggers: list[Logger] = [TensorBoardLogger(run.root, name="tensorboard", version="")]
    if wandb is not None:
        try:
            from lightning.pytorch.loggers import WandbLogger

            loggers.append(WandbLogger(project=wandb, name=run.root.name, save_dir=run.root))
        except ModuleNotFoundError as error:
            raise MissingDependency(
                f"--wandb needs a package that is not installed: {to_install('wandb')}"
            ) from error
    return loggers


class _AtomicCheckpoints(TorchCheckpointIO):
    """A checkpoint is whole or not there: a run may be killed while it is written."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        beside = Path(path).with_suffix(".partial")
        beside.unlink(missing_ok=True)  # a link there would be written through
        super().save_checkpoint(checkpoint, beside, storage_options)
        os.replace(beside, path)


class _EarlyStopping(EarlyStopping):
    """A training that had stopped before it was killed stays stopped; Lightning would add an epoch."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class _LastCheckpoint(Callback):
    """``last.ckpt`` after every so many steps, and after every epoch with its validation."""

    def __init__(self, run: RunFolder, steps: int) -> None:
        self._path, self._steps = run.last_checkpoint, steps

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        # Not after an epoch's last step: its validation would be left out of a resumed run.
        if trainer.global_step % self._steps == 0 and batch_idx + 1 < trainer.num_training_batches:
            trainer.save_checkpoint(self._path)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        trainer.save_checkpoint(self._path)


class _Progress(Callback):
    """A line for each epoch, and a row of ``epochs.csv``; ends a training whose loss is not a number."""

    def __init__(self, run: RunFolder, log: Log | None, monitor: tuple[str, str] | None) -> None:
        self._run = run
        self._log = log or silent
        self._monitor = monitor
        self._begun = self._epoch_begun = perf_counter()
        self._before = 0.0
        self._loss: Any = 0.0
        self._videos = 0
        self._best = -math.inf
        self._history: list[dict[str, float]] = []
        self.best_map = math.nan

    @property
    def seconds(self) -> float:
        return self._before + perf_counter() - self._begun

    def state_dict(self) -> dict[str, Any]:
        epoch = {"loss": float(self._loss), "videos": self._videos}
        best = {"best": self._best, "best_map": self.best_map}
        return epoch | best | {"seconds": self.seconds, "history": self._history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loss, self._videos = state_dict["loss"], state_dict["videos"]
        self._best, self.best_map = state_dict["best"], state_dict["best_map"]
        self._before, self._begun = state_dict["seconds"], perf_counter()
        self._history = list(state_dict.get("history", []))

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._epoch_begun, self._loss, self._videos = perf_counter(), 0.0, 0
        loader: Any = trainer.train_dataloader
        loader.set_epoch(trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._loss = self._loss + outputs["loss"].detach().double() * len(batch)
        self._videos += len(batch)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        loss = float(self._loss) / self._videos
        if not math.isfinite(loss):
            raise DataError(
                f"the training loss is {loss} after epoch {trainer.current_epoch + 1}: try a smaller "
                "--set training.learning_rate=..., or --precision float32"
            )
        mark = " (best)" if self._is_best(figures) else ""
        assert isinstance(module, Learner)
        validation = {name: value for name, value in figures.items() if name.startswith("validation/")}
        self._history.append({"epoch": trainer.current_epoch + 1, "training/loss": loss, **validation})
        if trainer.is_global_zero:
            self._run.write_history(self._history)
        self._log(
            f"epoch {trainer.current_epoch + 1}: training loss {loss:.4f}, {module.summary(figures)}{mark}, "
            f"{perf_counter() - self._epoch_begun:.1f} s"
        )

    def _is_best(self, figures: Mapping[str, float]) -> bool:
        if self._monitor is None:
            return False
        name, mode = self._monitor
        reached = figures[name] if mode == "max" else -figures[name]
        if not reached > self._best:
            return False
        self._best, self.best_map = reached, figures.get(MAP, math.nan)
        return True


class _Loaders(LightningDataModule):
    """Loaders, made when it is known which of several processes this one is."""

    def __init__(self, training: Callable[[int, int], Batches], validation: Batches) -> None:
        super().__init__()
        self._training, self._validation = training, validation

    def train_dataloader(self) -> Batches:
        assert self.trainer is not None
        return self._training(self.trainer.global_rank, self.trainer.world_size)

    def val_dataloader(self) -> Batches:
        return self._validation


class _quiet:
    """Lightning's advice for other programs is kept from the user's screen."""

    def __enter__(self) -> None:
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        warnings.filterwarnings("ignore", module=r"lightning|torchmetrics|torch\.utils\.data")
        self._logger = logging.getLogger("lightning.pytorch")
        self._level = self._logger.level
        self._logger.setLevel(logging.ERROR)

    def __exit__(self, *exception: object) -> None:
        self._logger.setLevel(self._level)
        self._caught.__exit__(*exception)  # type: ignore[arg-type]

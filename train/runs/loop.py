"""The training loop over the epochs of any Learner, with checkpoints to resume from exactly.

A checkpoint holds weights, optimiser, what was the best and where the loader stands; what a step draws from
chance follows from its number (:mod:`train.runs.learner`). So a run that was killed at any instant and
started again ends with the weights of one that was not: on a CPU to the bit, on a GPU up to the order in
which its kernels add.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from extract.errors import UsageError
from train.dashboards import Dashboards
from train.errors import DataError, Diverged
from train.loading.batch import Batch
from train.loading.tensor_file import save_whole
from train.log import Log, silent
from train.runs.genre_learner import MAP
from train.runs.learner import Learner
from train.runs.processes import Processes, autocast
from train.runs.run_folder import RunFolder
from train.settings import Hardware

_FORMAT = 2  # of a checkpoint; those of Lightning's Trainer, which earlier versions wrote, have no number


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
    None in a process that only helped (several GPUs). Raises DataError where the loss is NaN or infinite,
    StoreError where the disk refuses.
    """
    processes = Processes(hardware.devices)
    first = processes.rank == 0
    loop = _Loop(
        module,
        training(processes.rank, processes.ranks),
        validation,
        processes=processes,
        run=run,
        precision=hardware.precision,
        log=log or silent,
        dashboards=Dashboards(run.root, wandb) if first else None,
    )
    try:
        loop.resume()
        while not loop.over:
            loop.run_epoch()
        return loop.end() if first else None
    finally:
        loop.close()


@dataclass
class _Stand:
    """How far a training is.

    Attributes:
        epoch, batch: epochs that are over, and batches of the one that is not.
        step: optimiser steps of all epochs.
        loss, videos: of this epoch, the sum of the videos' losses and how many there were.
        best_epoch, best: the best epoch, counted from 1, and its figure, larger where it is better.
        best_map: that epoch's mAP; NaN where none was measured.
        seconds: that it took.
        history: a row of ``epochs.csv`` for each epoch.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss: float = 0.0
    videos: int = 0
    best_epoch: int = 0
    best: float = -math.inf
    best_map: float = math.nan
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


class _Loop:
    """The epochs of one training in one of its processes; ``dashboards`` for the one that writes."""

    def __init__(
        self,
        learner: Learner,
        batches: Batches,
        validation: Batches,
        *,
        processes: Processes,
        run: RunFolder,
        precision: str,
        log: Log,
        dashboards: Dashboards | None,
    ) -> None:
        self.learner, self.options = learner, learner.training_options
        self.batches, self.validation = batches, validation
        self.processes, self.precision = processes, precision
        self.run, self.log, self.dashboards = run, log, dashboards
        self.shared = processes.shared(learner)
        self.optimizer = learner.optimizer()
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=precision == "float16")
        self.stand = _Stand()
        self._timed = perf_counter()
        self._losses: list[tuple[Tensor, int]] = []  # on the device: reading them makes the host wait

    @property
    def over(self) -> bool:
        stand, patience = self.stand, self.options.patience
        waits = self.learner.monitor is not None and patience is not None
        return stand.epoch >= self.options.epochs or (
            waits and stand.epoch - stand.best_epoch >= patience  # type: ignore[operator]  # waits says so
        )

    def run_epoch(self) -> None:
        stand, begun = self.stand, perf_counter()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learner.rate(stand.epoch)
        self.batches.set_epoch(stand.epoch)
        for batch in self.batches:
            self._step(batch)
            # Not after an epoch's last step: its validation would be left out of a resumed run.
            if stand.step % self.options.checkpoint_steps == 0 and stand.batch < len(self.batches):
                self._save_last()
        self._read_losses()
        loss = stand.loss / stand.videos
        if not math.isfinite(loss):
            raise self._diverged(
                f"the training loss is {loss} after epoch {stand.epoch + 1}: try a smaller "
                "--set training.learning_rate=..., or --precision float32"
            )
        figures = self._validated()
        stand.epoch, stand.batch, stand.loss, stand.videos = stand.epoch + 1, 0, 0.0, 0
        mark = " (best)" if self._keep_best(figures) else ""
        stand.history.append({"epoch": stand.epoch, "training/loss": loss, **figures})
        if self.dashboards is not None:
            self.dashboards.write(stand.step, {"epoch": stand.epoch, **figures})
            self.run.write_history(stand.history)
        self.log(
            f"epoch {stand.epoch}: training loss {loss:.4f}, {self.learner.summary(figures)}{mark}, "
            f"{perf_counter() - begun:.1f} s"
        )
        self._save_last()  # after the best, of which it has to know

    def _diverged(self, what: str) -> DataError:
        """In half precision it need not be the options: float32 reaches further."""
        return Diverged(what) if self.precision == "float32" else DataError(what)

    def _step(self, batch: Batch) -> None:
        self.learner.begin_step(self.stand.step, self.processes.rank)
        with autocast(self.processes.device, self.precision):
            loss = self.shared(batch.to(self.processes.device, non_blocking=True))
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        if self.options.clip is not None:
            self.scaler.unscale_(self.optimizer)
            learned = [weight for group in self.optimizer.param_groups for weight in group["params"]]
            nn.utils.clip_grad_norm_(learned, self.options.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._losses.append((loss.detach(), len(batch)))
        self.stand.step += 1
        self.stand.batch += 1

    def _read_losses(self) -> None:
        """Of the steps since the last call: they are added up, and shown."""
        if not self._losses:
            return
        values = torch.stack([loss for loss, _ in self._losses]).double().tolist()
        for i, (value, (_, videos)) in enumerate(zip(values, self._losses, strict=True)):
            self.stand.loss += value * videos
            self.stand.videos += videos
            if self.dashboards is not None:
                self.dashboards.write(self.stand.step - len(values) + i, {"training/loss": value})
        self._losses = []

    def _validated(self) -> dict[str, float]:
        device = self.processes.device
        with _evaluating(self.learner), torch.inference_mode():
            for index, batch in enumerate(self.validation):
                with autocast(device, self.precision):
                    self.learner.validate(batch.to(device, non_blocking=True), index)
        try:
            figures = self.learner.figures(self.stand.epoch)
        except DataError as error:  # of scores that are no numbers
            raise self._diverged(str(error)) from error
        return self.processes.agreed(figures)

    def _keep_best(self, figures: Mapping[str, float]) -> bool:
        """Whether the epoch that ended is the best one; then its weights are kept."""
        if self.learner.monitor is None:
            return False
        (name, mode), stand = self.learner.monitor, self.stand
        reached = figures[name] if mode == "max" else -figures[name]
        if math.isnan(reached) or (stand.best_epoch and not reached > stand.best):
            return False
        stand.best_epoch, stand.best, stand.best_map = stand.epoch, reached, figures.get(MAP, math.nan)
        self._save(self.run.best_checkpoint, {})
        return True

    def _save_last(self) -> None:
        self._read_losses()
        now = perf_counter()
        self.stand.seconds, self._timed = self.stand.seconds + now - self._timed, now
        more = {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "learner": self.learner.memory(),
            "batches": self.batches.state_dict(),
            "stand": asdict(self.stand),
        }
        self._save(self.run.last_checkpoint, more)

    def _save(self, path: Path, more: Mapping[str, Any]) -> None:
        if self.dashboards is None:
            return
        counts = {"format": _FORMAT, "epoch": self.stand.epoch, "global_step": self.stand.step}
        save_whole(path, {**counts, "state_dict": self.learner.state_dict(), **more})

    def resume(self) -> None:
        """From the run's last checkpoint, if there is one. Raises UsageError for one of an earlier form."""
        path = self.run.last_checkpoint
        if not path.exists():
            return
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        if checkpoint.get("format") != _FORMAT:
            raise UsageError(
                f"{str(path)!r} was written by another version of marquee, which trained in another way: "
                f"give another folder, or begin anew: {shlex.join(['rm', '-r', str(self.run.root)])}"
            )
        self.learner.load_state_dict(checkpoint["state_dict"])
        self.learner.remember(checkpoint["learner"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        if checkpoint["scaler"]:  # empty where the run was begun at another precision
            self.scaler.load_state_dict(checkpoint["scaler"])
        self.batches.load_state_dict(checkpoint["batches"])
        self.stand = _Stand(**checkpoint["stand"])

    def end(self) -> Trained:
        """Leave the best weights in the learner; where no epoch has the figure, the last ones stay."""
        stand = self.stand
        if stand.best_epoch:
            best = torch.load(self.run.best_checkpoint, map_location="cpu", weights_only=True)
            self.learner.load_state_dict(best["state_dict"])
        return Trained(
            epochs=stand.epoch,
            best_epoch=stand.best_epoch or stand.epoch,
            best_map=stand.best_map,
            steps=stand.step,
            seconds=stand.seconds,
        )

    def close(self) -> None:
        if self.dashboards is not None:
            self.dashboards.close()


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """In evaluation mode; afterwards every part is in its own mode again, as networks that are frozen."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training

"""The step of :func:`train.fit` in which a new model becomes a trained one: by gradient steps, or solved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter

from train.evaluation.metrics import average_precision
from train.loading.batch import Batch
from train.log import Log
from train.model import GenreModel, SolvedModel
from train.runs.genre_learner import GenreLearner, positive_weights
from train.runs.loop import Trained, train
from train.runs.run_folder import RunFolder
from train.runs.scores import scores_of
from train.runs.training_data import TrainingData
from train.settings import Hardware


def train_model(
    model: GenreModel,
    data: TrainingData,
    run: RunFolder,
    *,
    hardware: Hardware,
    log: Log,
    wandb: str | None = None,
) -> Trained | None:
    """By gradient steps (:func:`train.runs.loop.train`), then what the model settles on the validation split.

    None in a process that only helped.
    """
    training = data.choices.training
    weights = positive_weights(data.labels.rows(data.split.train), training)
    trained = train(
        GenreLearner(model, training, weights),
        lambda rank, ranks: data.batches("train", shuffle=True, rank=rank, ranks=ranks),
        data.batches("validation"),
        run=run,
        hardware=hardware,
        log=log,
        wandb=wandb,
    )
    if trained is not None:
        device = hardware.torch_device
        model.to(device).eval().settle(_OnDevice(data.batches("validation"), device))
    return trained


def solve_model(model: SolvedModel, data: TrainingData, log: Log) -> Trained:
    """In one go: there are no epochs, and nothing to resume after a kill."""
    started = perf_counter()
    validation = data.batches("validation")
    model.eval().solve(data.batches("train"), validation, seed=data.choices.training.seed)
    ids, scores = scores_of(model, validation)
    reached = average_precision(data.labels.rows(ids), scores)
    trained = Trained(epochs=0, best_epoch=0, best_map=reached, steps=0, seconds=perf_counter() - started)
    log(f"solved: validation mAP {reached:.4f}, {trained.seconds:.1f} s")
    return trained


def size_of(model: GenreModel) -> int:
    """How many numbers the model learns; those of a solved model are in its buffers."""
    learned = model.buffers() if isinstance(model, SolvedModel) else model.parameters()
    return sum(tensor.numel() for tensor in learned)


@dataclass(frozen=True)
class _OnDevice:
    """Batches on a device; they may be gone through again."""

    batches: Iterable[Batch]
    device: str

    def __iter__(self) -> Iterator[Batch]:
        return (batch.to(self.device, non_blocking=True) for batch in self.batches)

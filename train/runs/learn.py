"""A new model to a trained one: by gradient steps, or in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter

from train.evaluation.metrics import average_precision
from train.loading.batch import Batch
from train.model import Model, SolvedModel
from train.runs.loop import Trained, train
from train.runs.module import GenreModule, positive_weights
from train.runs.run_folder import RunFolder
from train.runs.scores import scores_of
from train.runs.training_data import Data
from train.settings import Hardware

Say = Callable[[str], None]


def learn(
    model: Model, data: Data, run: RunFolder, *, hardware: Hardware, say: Say, wandb: str | None = None
) -> Trained | None:
    """By gradient steps (:func:`train.runs.loop.train`), then what the model settles on the validation split.

    None in a process that only helped.
    """
    training = data.choices.training
    weights = positive_weights(data.labels.rows(data.split.train), training)
    trained = train(
        GenreModule(model, training, weights),
        lambda rank, ranks: data.batches("train", shuffle=True, rank=rank, ranks=ranks),
        data.batches("validation"),
        run=run,
        hardware=hardware,
        say=say,
        wandb=wandb,
    )
    if trained is not None:
        device = hardware.torch_device
        model.to(device).eval().settle(_OnDevice(data.batches("validation"), device))
    return trained


def solve(model: SolvedModel, data: Data, say: Say) -> Trained:
    """In one go: there are no epochs, and nothing to go on with after a kill."""
    started = perf_counter()
    validation = data.batches("validation")
    model.eval().solve(data.batches("train"), validation, seed=data.choices.training.seed)
    ids, scores = scores_of(model, validation)
    reached = average_precision(data.labels.rows(ids), scores)
    trained = Trained(epochs=0, best_epoch=0, best_map=reached, steps=0, seconds=perf_counter() - started)
    say(f"solved: validation mAP {reached:.4f}, {trained.seconds:.1f} s")
    return trained


def size_of(model: Model) -> int:
    """How many numbers the model learns; those of a solved model are in its buffers."""
    learned = model.buffers() if isinstance(model, SolvedModel) else model.parameters()
    return sum(tensor.numel() for tensor in learned)


@dataclass(frozen=True)
class _OnDevice:
    """Batches on a device; they may be gone through again."""

    batches: Iterable[Batch]
    device: str

    def __iter__(self) -> Iterator[Batch]:
        return (batch.to(self.device) for batch in self.batches)

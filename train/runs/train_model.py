"""The step of :func:`train.fit` in which a new model becomes a trained one: by gradient steps, or solved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

from train.evaluation.metrics import mean_average_precision
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

    Independent networks (:meth:`train.model.GenreModel.independent_networks`) are trained first, one after
    the other, as if each were a run of its own, and are frozen then. What else the model learns is trained
    after them. None in a process that only helped.
    """
    training = data.choices.training
    weights = positive_weights(data.labels.rows(data.split.train), training)

    def trained_alone(network: GenreModel, seen: TrainingData, folder: RunFolder, say: Log) -> Trained | None:
        return train(
            GenreLearner(network, training, weights),
            lambda rank, ranks: seen.batches("train", shuffle=True, rank=rank, ranks=ranks),
            seen.batches("validation"),
            run=folder,
            hardware=hardware,
            log=say,
            wandb=wandb,
        )

    parts: dict[str, Trained | None] = {}
    for name, network in model.independent_networks().items():
        parts[name] = trained_alone(
            network, data.select(network.inputs), run.of_network(name), _named(name, log)
        )
        network.requires_grad_(False).eval()  # the loop leaves it so
    learns = any(parameter.requires_grad for parameter in model.parameters())
    whole = trained_alone(model, data, run, log) if learns else None
    networks = {name: trained for name, trained in parts.items() if trained is not None}
    if not (networks or whole):
        return None
    device = hardware.torch_device
    model.to(device).eval().settle(_OnDevice(data.batches("validation"), device), weights.to(device))
    if not networks:
        return whole
    return _together(networks, whole, _validation_map(model, data, hardware))


def _named(name: str, log: Log) -> Log:
    return lambda line: log(f"{name}, {line}")


def _together(networks: Mapping[str, Trained], whole: Trained | None, reached: float) -> Trained:
    """``reached``: validation mAP of the finished model."""
    every = [*networks.values(), *([whole] if whole else [])]
    return Trained(
        epochs=max(one.epochs for one in every),
        best_epoch=max(one.best_epoch for one in every),
        best_map=reached,
        steps=sum(one.steps for one in every),
        seconds=sum(one.seconds for one in every),
        networks=networks,
    )


def _validation_map(model: GenreModel, data: TrainingData, hardware: Hardware) -> float:
    ids, scores = scores_of(
        model, data.batches("validation"), device=hardware.torch_device, precision=hardware.precision
    )
    return mean_average_precision(data.labels.rows(ids), scores)


def solve_model(model: SolvedModel, data: TrainingData, log: Log) -> Trained:
    """In one go: there are no epochs, and nothing to resume after a kill."""
    started = perf_counter()
    model.eval().solve(data.batches("train"), data.batches("validation"), seed=data.choices.training.seed)
    reached = _validation_map(model, data, Hardware(device="cpu"))
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

"""The loop: exact resume from every checkpoint, what it goes by, what it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from extract.errors import UsageError
from tests.fixtures.batches import make_batch
from train.errors import DataError, Diverged
from train.loading.batch import Batch
from train.registry import make_model
from train.runs import processes
from train.runs.genre_learner import GenreLearner, positive_weights
from train.runs.loop import Trained, train
from train.runs.run_folder import RunFolder
from train.settings import Hardware, Training

DIMS = {"a": 3, "b": 4}
GENRES = 3
VIDEOS, SIZE = 18, 4  # five batches, the last one smaller
OPTIONS = Training(epochs=3, batch_size=SIZE, learning_rate=1e-3, checkpoint_steps=2, seed=5)


class Killed(Exception):
    """Raised where a process is to end."""


class Memory:
    """A loader without a store: another order in every epoch, and exact resume."""

    def __init__(self, *, shuffle: bool, kill_at: tuple[int, int] | None = None) -> None:
        self.all = make_batch(
            {"a": [1 + i % 5 for i in range(VIDEOS)], "b": [i % 4 for i in range(VIDEOS)]},
            DIMS,
            genres=GENRES,
        )
        self.shuffle, self.kill_at = shuffle, kill_at
        self.epoch = self.begin = self.given = 0

    def __len__(self) -> int:
        return -(-VIDEOS // SIZE)

    def __iter__(self) -> Iterator[Batch]:
        begin, self.begin = self.begin, 0
        order = np.arange(VIDEOS)
        if self.shuffle:
            order = np.random.default_rng((1, self.epoch)).permutation(VIDEOS)
        for i in range(begin, len(self)):
            if self.kill_at == (self.epoch, i):
                raise Killed
            self.given = i + 1
            yield self.all.select(order[i * SIZE : (i + 1) * SIZE].tolist())

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self.begin = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "given": self.given}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.begin = state["epoch"], state["given"] % len(self)


class Whole(Memory):
    """All videos in one batch."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Batch]:
        yield self.all


def module(options: Training = OPTIONS) -> GenreLearner:
    """Its weights follow from the seed."""
    torch.manual_seed(options.seed)
    small = {"width": 8, "layers": 2, "heads": 2, "feedforward": 8, "longest": 8, "dropout": 0.5}
    model = make_model("multi-transformer", DIMS, GENRES, small)
    return GenreLearner(model, options, torch.ones(GENRES))


def run(
    folder: Path,
    options: Training = OPTIONS,
    *,
    kill_at: tuple[int, int] | None = None,
    log: list[str] | None = None,
) -> Trained | None:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    return train(
        module(options),
        lambda rank, ranks: Memory(shuffle=True, kill_at=kill_at),
        Memory(shuffle=False),
        run=RunFolder(folder),
        hardware=Hardware(device="cpu"),
        log=None if log is None else log.append,
    )


def weights(path: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained | None, list[str]]:
    folder, said = tmp_path_factory.mktemp("whole"), list[str]()
    return folder, run(folder, log=said), said


# Before any checkpoint; just after one in mid-epoch, and not; at an epoch's last step, and at its first.
@pytest.mark.parametrize("kill_at", [(0, 1), (1, 2), (1, 4), (2, 0)])
@pytest.mark.slow
def test_a_resumed_run_ends_with_the_same_weights(
    kill_at: tuple[int, int], whole: tuple[Path, Trained | None, list[str]], tmp_path: Path
) -> None:
    folder, expected, said = whole
    begun: list[str] = []
    with pytest.raises(Killed):
        run(tmp_path, kill_at=kill_at, log=begun)
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists() or kill_at != (0, 1)
    resumed: list[str] = []
    result = run(tmp_path, log=resumed)
    assert result is not None and expected is not None
    for name in ("last.ckpt", "best.ckpt"):
        mine = weights(tmp_path / "checkpoints" / name)
        for key, value in weights(folder / "checkpoints" / name).items():
            assert torch.equal(mine[key], value), (name, key)
    assert (result.epochs, result.best_epoch, result.best_map, result.steps) == (
        expected.epochs,
        expected.best_epoch,
        expected.best_map,
        expected.steps,
    )
    assert result.epochs == 3 and result.steps == 15

    def without_time(lines: list[str]) -> list[str]:
        return [line.rpartition(",")[0] for line in lines]

    assert without_time(resumed) == without_time(said)[len(begun) :]


def test_a_checkpoint_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save({"state_dict": {}, "global_step": 6}, tmp_path / "checkpoints" / "last.ckpt")
    with pytest.raises(UsageError, match=r"last.ckpt' was written by another version .*begin anew: rm -r "):
        run(tmp_path)


def test_it_stops_when_nothing_improves(tmp_path: Path) -> None:
    said: list[str] = []
    still = replace(OPTIONS, epochs=30, patience=1, learning_rate=1e-30)  # nothing changes, nothing improves
    result = run(tmp_path, still, log=said)
    assert result is not None and (result.epochs, result.best_epoch) == (2, 1)
    assert [line.endswith(" s") and "(best)" in line for line in said] == [True, False]
    again: list[str] = []
    resumed = run(tmp_path, still, log=again)
    assert resumed is not None and not again, "what has stopped stays stopped"
    assert (resumed.epochs, resumed.best_epoch, resumed.steps) == (2, 1, result.steps)


def test_the_best_weights_are_those_of_the_best_epoch(
    whole: tuple[Path, Trained | None, list[str]],
) -> None:
    _, result, said = whole
    assert result is not None
    reached = [float(re.findall(r"mAP ([\d.]+)", line)[0]) for line in said]
    assert result.best_epoch == reached.index(max(reached)) + 1
    assert result.best_map == pytest.approx(max(reached), abs=1e-4)


def test_the_best_epoch_may_be_that_of_the_smallest_loss(tmp_path: Path) -> None:
    said: list[str] = []
    result = run(tmp_path, replace(OPTIONS, monitor="loss", patience=None), log=said)
    assert result is not None
    losses = [float(re.findall(r"validation loss ([\d.]+)", line)[0]) for line in said]
    assert result.best_epoch == losses.index(min(losses)) + 1
    reached = [float(re.findall(r"mAP ([\d.]+)", line)[0]) for line in said]
    assert result.best_map == pytest.approx(reached[result.best_epoch - 1], abs=1e-4)
    assert reached.index(max(reached)) + 1 != result.best_epoch, "the mAP would have chosen another"


def test_an_epoch_without_a_figure_is_not_the_best_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = GenreLearner.figures

    def figures(self: GenreLearner, epoch: int) -> dict[str, float]:
        found = measured(self, epoch)
        return {name: float("nan") for name in found} if epoch == 0 else found

    monkeypatch.setattr(GenreLearner, "figures", figures)
    trained = run(tmp_path)
    assert trained is not None
    assert trained.best_epoch > 1
    assert trained.best_map > 0


def test_where_no_epoch_has_a_figure_patience_ends_it_and_the_last_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the mAP of a validation split without any genre."""
    measured = GenreLearner.figures

    def figures(self: GenreLearner, epoch: int) -> dict[str, float]:
        return measured(self, epoch) | {"validation/map": float("nan")}

    monkeypatch.setattr(GenreLearner, "figures", figures)
    said: list[str] = []
    trained = run(tmp_path, replace(OPTIONS, patience=2), log=said)
    assert trained is not None and np.isnan(trained.best_map)
    assert (trained.epochs, trained.best_epoch) == (2, 2) and not any("(best)" in line for line in said)
    again = run(tmp_path, replace(OPTIONS, patience=2))
    assert again is not None and again.epochs == 2, "what has stopped stays stopped"


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"training loss is nan after epoch 1: try a smaller --set training"):
        run(tmp_path, replace(OPTIONS, learning_rate=1e30, clip=None))


def test_scores_that_are_no_numbers_end_it_too(tmp_path: Path) -> None:
    """After a single step the loss still is one, of the first weights. Half precision may be what failed."""
    one_step = replace(OPTIONS, learning_rate=1e30, clip=None, batch_size=VIDEOS)
    (tmp_path / "checkpoints").mkdir()
    for precision, error in (("float32", Diverged), ("bfloat16", DataError)):
        with pytest.raises(DataError, match="scores of 18 of 18 videos are NaN") as raised:
            train(
                module(one_step),
                lambda rank, ranks: Whole(shuffle=False),
                Memory(shuffle=False),
                run=RunFolder(tmp_path),
                hardware=Hardware(device="cpu", precision=precision),  # type: ignore[arg-type]
            )
        assert raised.type is error


def test_videos_that_cannot_be_read_are_no_divergence(tmp_path: Path) -> None:
    class Damaged(Memory):
        def __iter__(self) -> Iterator[Batch]:
            raise DataError("'films/7' holds NaN")

    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(DataError, match="films/7") as raised:
        train(
            module(),
            lambda rank, ranks: Memory(shuffle=True),
            Damaged(shuffle=False),
            run=RunFolder(tmp_path),
            hardware=Hardware(device="cpu"),
        )
    assert raised.type is DataError


def test_the_positive_weight_multiplies_the_positive_term() -> None:
    labels = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0], [0, 0, 0]], bool)
    quarter = positive_weights(labels, Training(positive_weight=0.25))
    assert quarter.tolist() == [0.25, 0.25, 0.25]
    balanced = positive_weights(labels, Training(positive_weight=0.5, balance=True))
    torch.testing.assert_close(balanced, torch.tensor([0.5 * 1 / 3, 0.5 * 3, 0.5 * 3]))
    assert positive_weights(labels[1:2], Training(balance=True)).isfinite().all()

    batch = make_batch({"a": (2, 1), "b": (1, 0)}, DIMS, genres=GENRES)
    assert batch.labels is not None and 0 < batch.labels.sum() < batch.labels.numel()
    weighted = GenreLearner(module().model, OPTIONS, quarter).eval()
    chance = weighted.model(batch).double().sigmoid()
    terms = torch.where(batch.labels > 0, -0.25 * chance.log(), -(1 - chance).log())
    torch.testing.assert_close(weighted.model.loss(batch, weighted.weights).double(), terms.mean())


@pytest.mark.parametrize(
    ("options", "kind", "amsgrad"),
    [
        ("adam", torch.optim.Adam, False),
        ("amsgrad", torch.optim.Adam, True),
        ("adamw", torch.optim.AdamW, False),
    ],
)
def test_optimizers(options: Any, kind: type, amsgrad: bool) -> None:
    made = module(replace(OPTIONS, optimizer=options, weight_decay=0.1)).optimizer()
    assert type(made) is kind
    assert {k: made.defaults[k] for k in ("lr", "amsgrad", "weight_decay")} == {
        "lr": 1e-3,
        "amsgrad": amsgrad,
        "weight_decay": 0.1,
    }


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_trains_and_keeps_float32_weights(
    precision: Literal["bfloat16", "float16"], tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").mkdir()
    mixed = module(replace(OPTIONS, epochs=1))
    hardware = Hardware(device="cpu", precision=precision)
    train(
        mixed,
        lambda rank, ranks: Memory(shuffle=True),
        Memory(shuffle=False),
        run=RunFolder(tmp_path),
        hardware=hardware,
    )
    assert {parameter.dtype for parameter in mixed.parameters()} == {torch.float32}
    exact = module(replace(OPTIONS, epochs=1))
    assert not torch.equal(mixed.model.encoders[0].cls, exact.model.encoders[0].cls)  # type: ignore[index,union-attr]


def test_a_validation_leaves_every_part_in_its_mode(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    frozen = module(replace(OPTIONS, epochs=1))
    frozen.model.encoders[0].eval()  # type: ignore[index,union-attr]
    before = [part.training for part in frozen.modules()]
    train(
        frozen,
        lambda rank, ranks: Memory(shuffle=True),
        Memory(shuffle=False),
        run=RunFolder(tmp_path),
        hardware=Hardware(device="cpu"),
    )
    assert [part.training for part in frozen.modules()] == before and len(set(before)) == 2


class Helper:
    """Stands in for Lightning Fabric in the second of two processes; the first one has other figures."""

    global_rank, world_size, device = 1, 2, torch.device("cpu")

    def setup_module(self, given: torch.nn.Module) -> torch.nn.Module:
        return given

    def broadcast(self, figures: dict[str, float]) -> dict[str, float]:
        return dict.fromkeys(figures, 0.5)


def test_a_process_that_helps_writes_nothing_and_stops_when_the_first_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def launched(devices: Sequence[str]) -> Helper:
        started.append(list(devices))
        return Helper()

    monkeypatch.setattr(processes, "_launched", launched)
    monkeypatch.setattr(Hardware, "devices", ["cpu", "cpu"])
    asked: list[tuple[int, int]] = []

    def part(rank: int, ranks: int) -> Memory:
        asked.append((rank, ranks))
        return Memory(shuffle=True)

    said: list[str] = []
    helper = train(
        module(replace(OPTIONS, epochs=5, patience=2)),
        part,
        Memory(shuffle=False),
        run=RunFolder(tmp_path),
        hardware=Hardware(),
        log=said.append,
    )
    assert helper is None and (started, asked) == ([["cpu", "cpu"]], [(1, 2)])
    assert len(said) == 3 and "mAP 0.5000" in said[-1], "an epoch that is best, and two that are no better"
    assert list(tmp_path.iterdir()) == []


def test_every_process_gets_its_own_part(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def part(rank: int, ranks: int) -> Memory:
        asked.append((rank, ranks))
        return Memory(shuffle=True)

    (tmp_path / "checkpoints").mkdir()
    train(
        module(replace(OPTIONS, epochs=1)),
        part,
        Memory(shuffle=False),
        run=RunFolder(tmp_path),
        hardware=Hardware(device="cpu"),
    )
    assert asked == [(0, 1)]

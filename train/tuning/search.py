"""A search for good options on the validation split: trainings that Optuna chooses, one round after another.

The study is ``study.db`` in the search's folder, and every training a run below ``trials``. Each trial is
drawn by a sampler that is seeded by the search's seed and the trial's place, from what the rounds before it
have shown, so a search that was killed goes on to the same trials and the same best one.

A trial that fails by what is around it stays as if it were running, so the next start trains it again; one
that fails by its options is told to the study as failed.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from extract.errors import MissingDependency, UsageError, count, to_install
from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from train.errors import BY_OPTIONS, DataError
from train.evaluation.evaluate import read_predictions
from train.evaluation.metrics import Measures, unit_weights
from train.log import Log, log_of
from train.runs.fit import check, fit
from train.runs.run_folder import RunFolder
from train.runs.workers import Crew, crew
from train.tuning.config import SearchConfig
from train.tuning.space import points

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Tried:
    """A trial, by its place from 0: its values, its run, and what it reached on validation, or why not."""

    place: int
    values: Mapping[str, Any]
    run: Path
    reached: float | None = None
    error: str = ""

    @property
    def assignments(self) -> list[str]:
        """As ``--set`` takes them."""
        return [f"{name}={value}" for name, value in self.values.items()]


def search(config: SearchConfig, log: Log | None = None) -> list[Tried]:
    """Train what is to be tried; all trials, the best first. A search that was killed resumes.

    Raises UsageError where the folder holds another search, or nothing can be tried, and DataError where
    every training failed.
    """
    say = log_of(log)
    for values in points(config.tried)[:1] if config.sampler == "grid" else []:
        check(config.training(config.out, values))
    _optuna()
    with crew(config.cluster) as workers:  # what cannot be had is refused before anything is written
        _claim(config, say)
        searching = _Search(config, _open(config))
        searching.run(workers, say)
    found = sorted(searching.tried(), key=_from_best)
    _write(config, found)
    if searching.errors:
        failed = count(len(searching.errors), "trial")
        say(f"{failed} failed by something else than options: the same command tries again")
    if found[0].reached is None:
        raise DataError(f"{count(len(found), 'training')}, and all failed; the first: {found[0].error}")
    return found


def _from_best(tried: Tried) -> tuple[float, int]:
    return (-tried.reached if tried.reached is not None else float("inf"), tried.place)


@dataclass(frozen=True)
class _Search:
    """The study of a search, in rounds of trials that are drawn together.

    ``errors``: of this start, by the number of a trial, why it has to be trained again.
    """

    config: SearchConfig
    study: Study
    errors: dict[int, str] = field(default_factory=dict)

    def run(self, workers: Crew, log: Log) -> None:
        from optuna.trial import TrialState

        self._drop_halves()
        at_once = self._at_once(workers.size)
        while True:
            trials = self.trials()
            told = sum(trial.state.is_finished() or trial.number in self.errors for trial in trials)
            end = min((told // at_once + 1) * at_once, self.config.most)
            while len(trials) < end:
                self._draw(len(trials))
                trials = self.trials()
            todo = {
                trial.number: partial(_reached, self.config, trial.params, self.folder(place))
                for place, trial in enumerate(trials)
                if trial.state == TrialState.RUNNING and trial.number not in self.errors
            }
            if not todo:
                return
            place = {trial.number: place for place, trial in enumerate(trials)}
            for number, outcome in workers.run(todo):
                self._tell(number, outcome, log, f"{place[number] + 1} of {self.config.most}")

    def trials(self) -> list[FrozenTrial]:
        """Those that have all their values, in the order in which they were drawn."""
        wanted = set(self.config.tried)
        return [trial for trial in self.study.get_trials(deepcopy=False) if set(trial.params) == wanted]

    def tried(self) -> list[Tried]:
        return [
            Tried(
                place,
                trial.params,
                self.folder(place),
                None if trial.value is None else float(trial.value),
                self.errors.get(trial.number) or trial.user_attrs.get("error", ""),
            )
            for place, trial in enumerate(self.trials())
        ]

    def folder(self, place: int) -> Path:
        return self.config.out / "trials" / f"{place:04d}"

    def _draw(self, place: int) -> None:
        self.study.sampler = _sampler(self.config, place)
        if self.config.sampler == "grid":
            self.study.enqueue_trial(points(self.config.tried)[place])
        self.study.ask({name: values.distribution() for name, values in self.config.tried.items()})

    def _drop_halves(self) -> None:
        """A kill between a trial's first and last value leaves a trial that nobody can train."""
        from optuna.trial import TrialState

        whole = {trial.number for trial in self.trials()}
        for trial in self.study.get_trials(deepcopy=False):
            if trial.number in whole or trial.state.is_finished():
                continue
            waits = trial.state == TrialState.WAITING  # for an ask, which a grid announces it to
            self.study.tell(self.study.ask().number if waits else trial.number, state=TrialState.FAIL)

    def _at_once(self, workers: int) -> int:
        """Of the first start: rounds of another size would be drawn from other trials."""
        known = self.study.user_attrs.get("at_once")
        if known is None:
            known = self.config.at_once or workers
            self.study.set_user_attr("at_once", known)
        return int(known)

    def _tell(self, number: int, outcome: float | Exception, log: Log, which: str) -> None:
        from optuna.trial import TrialState

        trial = next(trial for trial in self.trials() if trial.number == number)
        values = ", ".join(f"{name}={value}" for name, value in trial.params.items())
        if isinstance(outcome, Exception):
            said = (str(outcome).strip().splitlines() or ["no message"])[0]
            log(f"{which}: {values}: failed: {said}")
            if isinstance(outcome, BY_OPTIONS):
                self.study._storage.set_trial_user_attr(trial._trial_id, "error", said)
                self.study.tell(number, state=TrialState.FAIL)
            else:
                self.errors[number] = said
        else:
            self.study.tell(number, outcome)
            log(f"{which}: {values}: {self.config.figure} {outcome:.4f}")


def _reached(config: SearchConfig, values: Mapping[str, Any], folder: Path) -> float:
    """The figure of the validation split that a training with these values reaches."""
    run = RunFolder(folder)
    if not run.finished:
        fit(config.training(folder, values))
    known = read_predictions(run.predictions_path, split="validation")
    figures, _ = Measures(known.target, known.score).figures(unit_weights(len(known.ids)))
    reached = float(figures[config.figure][0])
    if math.isnan(reached):
        raise DataError(f"the validation videos have no {config.figure}: give another --figure")
    return reached


def _sampler(config: SearchConfig, place: int) -> BaseSampler:
    from optuna.samplers import RandomSampler, TPESampler

    seed = (config.seed << 20) + place
    return TPESampler(seed=seed) if config.sampler == "tpe" else RandomSampler(seed=seed)


def _optuna() -> ModuleType:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"search needs a package that is not installed: {to_install('search')}"
        ) from error
    return optuna


def _open(config: SearchConfig) -> Study:
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{(config.out / 'study.db').absolute()}"
    study: Study = optuna.create_study(
        study_name="search", storage=storage, direction="maximize", load_if_exists=True
    )
    return study


def _claim(config: SearchConfig, log: Log) -> None:
    """``search.json``. A search that has trained nothing yet gives way to other settings, and is logged.

    Raises UsageError where the folder holds something else.
    """
    path, wanted = config.out / "search.json", json.loads(json.dumps(config.record, default=str))
    if not path.exists():
        if config.out.exists() and (config.out.is_file() or any(config.out.iterdir())):
            raise UsageError(
                f"--out {str(config.out)!r} contains other files: give a new folder, or a search to resume"
            )
        config.out.mkdir(parents=True, exist_ok=True)
        _write_json(path, wanted)
        return
    there = json.loads(path.read_text("utf-8"))
    different = [name for name in wanted if there.get(name) != wanted[name]]
    if not different:
        return
    name = different[0]
    changed = f"{name} was {there.get(name)}, now {wanted[name]}"
    if any(RunFolder(trial).begun for trial in config.out.glob("trials/*")):
        anew = shlex.join(["rm", "-r", str(config.out)])
        raise UsageError(
            f"{str(config.out)!r} holds a search with different settings ({changed}): give another --out, or "
            f"delete it to begin anew: {anew}"
        )
    log(f"begins anew: {str(config.out)!r} had trained nothing yet ({changed})")
    (config.out / "study.db").unlink(missing_ok=True)
    _write_json(path, wanted)


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def _write(config: SearchConfig, found: list[Tried]) -> None:
    """``trials.csv``, the best first."""
    names = list(config.tried)
    with atomic(config.out / "trials.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        rows = (
            [
                t.place,
                *(t.values[n] for n in names),
                "" if t.reached is None else t.reached,
                t.run.name,
                t.error,
            ]
            for t in found
        )
        write_csv(file, ["trial", *names, config.figure, "run", "error"], rows)

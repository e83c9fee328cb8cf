"""What a training is asked for: presets, ``--set`` and flags, checked and made definite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from extract.errors import UsageError
from extract.options import Checked, Device, Gpus, Positive, Precision, Seed, checked, convert
from extract.presets import Options, list_presets, merged, parse_set, read_preset
from train.errors import of_options

PRESETS = Path(__file__).parent / "presets"
DEFAULT_MODEL = "multi-transformer"

# Sections of a preset; every other name in ``--set NAME.OPTION=VALUE`` is an expert's.
SECTIONS = ("model", "training", "labels", "split")


@dataclass(frozen=True)
class Training(Checked):
    """How a model is trained, whichever it is.

    Attributes:
        epochs: at most so many passes over the training split.
        patience: end after so many epochs without a better one; None: never before ``epochs``.
        monitor: what makes an epoch the best one, on the validation split: its mAP, the micro-averaged
            average precision, or its loss, which still tells epochs apart where few videos are all ranked
            right.
        batch_size: videos in a batch, over all devices.
        optimizer: Adam, Adam with AMSGrad, or AdamW.
        learning_rate, weight_decay: of the optimiser.
        sum_genres: the loss is the sum over the genres, not their mean; weight decay then weighs less.
        clip: the largest norm of the gradient; None: not clipped.
        positive_weight: factor on the loss of a genre that a video has; see :mod:`train.runs.genre_learner`.
        balance: multiply that by each genre's negatives per positive of the training split.
        checkpoint_steps: a checkpoint after so many steps, and after every epoch.
        seed: of the first weights, the order of videos and dropout.
    """

    epochs: int = 50
    patience: int | None = 10
    monitor: Literal["map", "micro", "loss"] = "map"
    batch_size: int = 32
    optimizer: Literal["adam", "amsgrad", "adamw"] = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    sum_genres: bool = False
    clip: float | None = 1.0
    positive_weight: float = 1.0
    balance: bool = False
    checkpoint_steps: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("epochs", "batch_size", "checkpoint_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        for name in ("patience", "clip", "learning_rate", "positive_weight"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; more than 0 is needed")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay is {self.weight_decay}; 0 or more is needed")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; 0 or more is needed")


@dataclass(frozen=True)
class LabelOptions(Checked):
    """Which column of the label table is what (None: the usual names), and which videos are left out.

    Attributes:
        id, genres, group, duration: names of columns; groups stay in one part of the split.
        least_videos: a genre with fewer videos is left out.
        most_frequent: only so many genres, those that most videos have (Sulun et al. 2024: 21).
        least_shots: leave out videos of which the table ``scenes`` has fewer rows.
        duration_filter: leave out videos of unusual length (:func:`train.labels.table.duration_filter`), by
            the column of durations, or without one by what the store measured.
    """

    id: str | None = None
    genres: str | None = None
    group: str | None = None
    duration: str | None = None
    least_videos: Positive = 1
    most_frequent: Positive | None = None
    least_shots: int = 0
    duration_filter: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.least_shots < 0:
            raise ValueError(f"least_shots is {self.least_shots}; 0 or more is needed")


@dataclass(frozen=True)
class SplitOptions(Checked):
    """How the labelled videos are split.

    Attributes:
        by: a rule of :func:`train.labels.splits.split_by_rule`, ``column`` or ``file``.
        name: of the column, or path of the JSON file.
        fractions: of training, validation and test, for a rule.
        seed: of the rules that draw.
        allow_empty_genres: let a part have no video of some genre.
    """

    by: Literal["sulun", "random", "stratified", "column", "file"] = "stratified"
    name: str | None = None
    fractions: tuple[float, ...] = (0.7, 0.1, 0.2)
    seed: Seed = 0
    allow_empty_genres: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.name is not None) != (self.by in ("column", "file")):
            raise ValueError("split.name goes with split.by=column or split.by=file, and only with them")


@dataclass(frozen=True)
class Hardware(Checked):
    """Where a model is trained. None of it is a part of what the run is.

    Attributes:
        device: ``auto`` (the first GPU, if there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        gpus: ``all`` or numbers (``0,1``): a process on each, each with its share of every batch.
        precision: of the arithmetic; weights are float32 in any case.
    """

    device: Device = "auto"
    gpus: Gpus | None = None
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_place(self.device, self.gpus)

    @classmethod
    def named(cls, field: str) -> str:
        return f"--{field}"

    @property
    def devices(self) -> list[str]:
        """One for each process that trains, in torch's words. Raises UsageError for a missing GPU."""
        import torch

        found = torch.cuda.device_count()
        if self.gpus is None and (self.device == "cpu" or (self.device == "auto" and not found)):
            return ["cpu"]
        numbers = self.gpus if self.gpus is not None else self.device.partition(":")[2] or "0"
        wanted = list(range(found)) if numbers == "all" else [int(n) for n in numbers.split(",")]
        if not wanted or max(wanted) >= found:
            raise UsageError(f"GPU {max(wanted, default=0)} was requested; this machine has {found}")
        return [f"cuda:{number}" for number in wanted]

    @property
    def torch_device(self) -> str:
        """The first device, for a prediction."""
        return self.devices[0]

    @property
    def on_gpu(self) -> bool:
        return self.torch_device != "cpu"


def check_one_place(device: str, gpus: str | None) -> None:
    """Raises UsageError for a device beside GPUs."""
    if gpus is not None and device != "auto":
        raise UsageError("--device and --gpus cannot be combined: give only one")


def hardware_of(given: Hardware | None) -> Hardware:
    """The hardware that was asked for, or the usual one. Raises UsageError for a value of another type."""
    hardware: Hardware = convert("hardware", Hardware, Hardware() if given is None else given, texts=False)
    return hardware


@dataclass(frozen=True)
class Preset:
    """``options``: by section or expert. ``experts``: tables of the store, none: all with vectors."""

    name: str
    summary: str
    model: str
    experts: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def preset_names() -> list[str]:
    return list_presets(PRESETS)


def load_preset(name: str) -> Preset:
    """A preset by name; one with a ``base`` says what it has otherwise. Raises UsageError with all names."""
    entry = read_preset(PRESETS, name)
    options = entry.get("options", {})
    if "base" in entry:
        base = load_preset(entry["base"])
        entry = {"model": base.model, "experts": base.experts} | entry
        options = merged([base.options, options])
    return Preset(
        name,
        summary=entry["summary"],
        model=entry["model"],
        experts=tuple(entry.get("experts", ())),
        options=options,
    )


def parse_assignments(assignments: Sequence[str]) -> Options:
    """``--set NAME.OPTION=VALUE`` by section or expert. Raises UsageError for another form."""
    return parse_set(assignments, "model.dropout=0.3")


def only(options: Mapping[str, Mapping[str, Any]], experts: Sequence[str]) -> Options:
    """The options of the sections and of these experts."""
    return {name: dict(values) for name, values in options.items() if name in (*SECTIONS, *experts)}


@dataclass(frozen=True)
class Choices(Checked):
    """What a preset and the user's options come to.

    ``steps``: by expert, how its steps are chosen; ``optional`` names those that only the preset speaks of,
    so that they may be missing among the experts.
    """

    model: str
    experts: tuple[str, ...]
    training: Training
    labels: LabelOptions
    split: SplitOptions
    model_options: Mapping[str, Any]
    steps: Mapping[str, Mapping[str, Any]]
    optional: frozenset[str] = frozenset()

    elsewhere = ("optional",)


@of_options()
def choose(
    *,
    preset: str | None = None,
    model: str | None = None,
    experts: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Choices:
    """The preset's choices and the user's over them. Raises UsageError for what cannot be.

    Experts narrow the preset's. Another model than the preset's takes its training, not its model options.
    """
    preset = convert("preset", str | None, preset, texts=False)
    names = convert("experts", tuple[str, ...], experts, texts=False)
    model = convert("model", str | None, model, texts=False)
    options = convert("options", Mapping[str, Mapping[str, Any]], options or {}, texts=False)
    base = load_preset(preset) if preset else None
    names = names or (base.experts if base else ())
    chosen = model or (base.model if base else DEFAULT_MODEL)
    layer = merged([base.options]) if base else {}
    if base and chosen != base.model:
        layer.pop("model", None)
    given = merged([layer, options])
    return Choices(
        model=chosen,
        experts=names,
        training=checked(Training, given.pop("training", {}), owner="training", prefix="training"),
        labels=checked(LabelOptions, given.pop("labels", {}), owner="labels", prefix="labels"),
        split=checked(SplitOptions, given.pop("split", {}), owner="split", prefix="split"),
        model_options=given.pop("model", {}),
        steps=given,
        optional=frozenset(base.options if base else ()) - frozenset(options),
    )

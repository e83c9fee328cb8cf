"""What the commands of the trainer share: options by one name, and their values checked."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from extract.errors import UsageError, command
from extract.options import Precision as NetworkPrecision
from extract.presets import Options, merged
from extract.terminal import print_line
from train.log import Log
from train.registry import model_names
from train.settings import parse_assignments, preset_names

Features = Annotated[str | None, typer.Option(help="Feature store; or s3://...")]
Store = Annotated[str, typer.Option("--features", help="Feature store; or s3://...")]
LabelFile = Annotated[Path | None, typer.Option(help="CSV or Parquet table with ids and genres.")]
Column = Annotated[str | None, typer.Option(help="Column of the label table.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")]
Gpus = Annotated[str | None, typer.Option(help="all, or 0,1: a training process for each GPU.")]
Precision = Annotated[NetworkPrecision, typer.Option(help="Precision of the networks.")]
AllowRandom = Annotated[
    bool, typer.Option("--allow-random-weights", help="Accept features of random weights, for dry runs.")
]
Run = Annotated[Path, typer.Option(help="Run folder.")]
Model = Annotated[
    str | None, typer.Option(autocompletion=model_names, help="Its name; `models` lists all of them.")
]
Preset = Annotated[
    str | None, typer.Option(autocompletion=preset_names, help="Its name; `models` lists them too.")
]
Experts = Annotated[
    str | None, typer.Option(help="Comma-separated. Default: the preset's, or all with vectors.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="NAME.OPTION=VALUE: model, training, an expert, ...")
]


def log_on(screen: Console) -> Log:
    """What says a line on a console, whatever characters are in it."""
    return partial(print_line, screen)


def names_in(text: str | None) -> list[str]:
    """Names between commas."""
    return [] if text is None else [name.strip() for name in text.split(",") if name.strip()]


def numbers_in(text: str, flag: str, kind: type) -> tuple[Any, ...]:
    """Numbers between commas. Raises UsageError."""
    try:
        return tuple(kind(part) for part in names_in(text))
    except ValueError:
        raise UsageError(f"{flag} is {text!r}; numbers are needed, comma-separated") from None


def given(value: Any, flag: str) -> Any:
    """A value that a command cannot do without. Raises UsageError."""
    if value is None:
        raise UsageError(f"{flag.split()[0]} is missing: give {flag}")
    return value


def set_options(flags: dict[str, dict[str, Any]], assignments: list[str] | None) -> Options:
    """Flags that were given, and ``--set`` over them."""
    chosen = {
        section: {name: value for name, value in values.items() if value is not None}
        for section, values in flags.items()
    }
    return merged([chosen, parse_assignments(assignments or [])])


def to_train(store: str, labels: Path | str, *more: object) -> str:
    """The command that trains on a store; ``more`` are further arguments."""
    return command("train", "--features", store, "--labels", labels, *more, "--run", "runs/first")

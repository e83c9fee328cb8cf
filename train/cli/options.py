"""What the commands of the trainer share: options by one name, and their values checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from extract.errors import UsageError
from extract.options import Precision as NetworkPrecision
from train.log import Log

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


def log_on(screen: Console) -> Log:
    """What says a line on a console, whatever characters are in it."""
    return lambda text: screen.print(text, markup=False, highlight=False, soft_wrap=True)


def names_in(text: str | None) -> list[str]:
    """Names between commas."""
    return [] if text is None else [name.strip() for name in text.split(",") if name.strip()]


def numbers_in(text: str, flag: str, kind: type) -> tuple[Any, ...]:
    """Numbers between commas. Raises UsageError."""
    try:
        return tuple(kind(part) for part in names_in(text))
    except ValueError:
        raise UsageError(f"{flag} is {text!r}; numbers are needed, comma-separated") from None

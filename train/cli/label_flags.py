"""How labels are read and split: the flags that ``train`` and ``compare`` share, listed once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any

import typer

from train.cli.options import Column

SplitBy = Annotated[
    str | None,
    typer.Option(help="stratified, random, sulun, column:NAME or a JSON file. Default: stratified."),
]
AllowEmpty = Annotated[
    bool, typer.Option("--allow-empty-genres", help="Let a part of the split have no video of a genre.")
]
LeastVideos = Annotated[int | None, typer.Option(help="Leave out genres with fewer videos.")]


@dataclass(frozen=True)
class LabelFlags:
    """What was given of them; None: not given."""

    id_column: Column = None
    genres_column: Column = None
    group_column: Column = None
    duration_column: Column = None
    least_videos: LeastVideos = None
    split: SplitBy = None
    allow_empty_genres: AllowEmpty = False

    def options(self) -> dict[str, dict[str, Any]]:
        """As options of the sections ``labels`` and ``split``."""
        labels = {
            "id": self.id_column,
            "genres": self.genres_column,
            "group": self.group_column,
            "duration": self.duration_column,
            "least_videos": self.least_videos,
        }
        return {"labels": labels, "split": self._split()}

    def _split(self) -> dict[str, Any]:
        text, more = self.split, {"allow_empty_genres": self.allow_empty_genres or None}
        if text is None:
            return more
        if text.startswith("column:"):
            return {"by": "column", "name": text.removeprefix("column:"), **more}
        return {"by": "file", "name": text, **more} if text.endswith(".json") else {"by": text, **more}


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """The command with a flag for each field of its dataclass parameters, which typer cannot take whole."""
    signature = inspect.signature(command, eval_str=True)
    fields = {
        name: list(inspect.signature(kind, eval_str=True).parameters.values())
        for name, parameter in signature.parameters.items()
        if isinstance(kind := parameter.annotation, type) and is_dataclass(kind)
    }

    @functools.wraps(command)
    def call(**given: Any) -> None:
        for name, its in fields.items():
            values = {field.name: given.pop(field.name) for field in its}
            given[name] = signature.parameters[name].annotation(**values)
        command(**given)

    flat = [
        one for parameter in signature.parameters.values() for one in fields.get(parameter.name, [parameter])
    ]
    call.__signature__ = signature.replace(parameters=flat)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return call

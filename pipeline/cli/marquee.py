"""The command ``marquee``: every command of the project under one name, each loaded when it is used.

Modules are named by text here, so that this package knows of the trainer no more than its name.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from extract.errors import PROGRAM
from extract.terminal import Commands, command_line, console, run_app
from pipeline.storage.versions import marquee_version


@dataclass(frozen=True)
class Listed:
    """A command: the module whose ``app`` has it, or is it, and the line that lists it."""

    module: str
    summary: str


# A new command is a line here. The summary is the command's own help (a test compares).
COMMANDS = {
    "extract": Listed(
        "pipeline.cli.commands", "Extract aligned multimodal features from a folder of videos into Parquet."
    ),
    "train": Listed(
        "train.cli.commands", "Train models that predict genres from a feature store and labels."
    ),
    "status": Listed(
        "pipeline.cli.commands", "Show the progress of a store: videos and rows by expert, failures."
    ),
    "describe": Listed(
        "pipeline.cli.commands",
        "Explain every table and column of a store: meaning, unit, shape, source and count.",
    ),
    "cite": Listed(
        "pipeline.cli.commands",
        "Print BibTeX of the networks, papers and libraries behind a store, and its weights' licences.",
    ),
    "summary": Listed(
        "pipeline.cli.commands",
        "Sum up a store: shots, speech, text, silence, languages, brightness, motion, outliers.",
    ),
    "report": Listed(
        "pipeline.report.command",
        "Write pages to look at: all videos, and each with everything that was found in it over time.",
    ),
    "export": Listed(
        "pipeline.export.command",
        "Take along what a store has: subtitles, tables, annotations, timelines, datasets.",
    ),
    "search": Listed(
        "pipeline.search.command",
        "Find moments: words on screen and spoken, shots by meaning, by a picture, or like another.",
    ),
    "tag": Listed(
        "pipeline.tagging.command",
        "Score every shot against words of your own, by CLIP, without training or opening a video.",
    ),
    "verify": Listed(
        "pipeline.cli.commands", "Check every shard in full; exit status 1 if something is wrong."
    ),
    "remove": Listed(
        "pipeline.cli.commands", "Remove videos and all their rows from a store; later runs skip their files."
    ),
    "weights": Listed(
        "pipeline.cli.commands",
        "List the checkpoints that experts need; check their hashes; fetch what is missing.",
    ),
    "prepare": Listed(
        "pipeline.cli.commands",
        "Make small copies (x265, Opus) with the same timestamps; run it again to resume. Needs ffmpeg.",
    ),
    "doctor": Listed(
        "pipeline.cli.commands", "Show what is installed, which experts can run, and how to fix the others."
    ),
    "cluster-certificates": Listed(
        "pipeline.cli.commands", "Make certificates that protect a Dask cluster from anyone without them."
    ),
}


class LazyCommands(Commands):
    """Lists the commands without loading any; the one that is called is loaded then."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Name, command and the arguments that are left."""
        if args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """The command of that name, from its module."""
    app: typer.Typer = importlib.import_module(COMMANDS[name].module).app
    found = typer.main.get_command(app)
    return getattr(found, "commands", {}).get(name, found)


def _version(asked: bool) -> None:
    if asked:
        console().print(f"{PROGRAM} {marquee_version()}", highlight=False)
        raise typer.Exit


app = command_line(
    LazyCommands,
    add_completion=True,
    help="Turn folders of videos into aligned multimodal features and genre models.",
    epilog="First steps:  marquee extract film.mp4 --preset offline",
)


@app.callback()
def marquee(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Options of the program itself."""


for _name, _entry in COMMANDS.items():
    app.command(_name, help=_entry.summary)(lambda: None)


def main() -> None:
    """Run the command line; an error is one line on standard error, exit status 2."""
    run_app(app, PROGRAM, kept="what was written is kept")

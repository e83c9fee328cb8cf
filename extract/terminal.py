"""What every command line here has: its console, and errors in one line."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from extract.errors import MarqueeError, clean, did_you_mean

PIPE_WIDTH = 1000
FRAMED_WIDTH = 110  # columns in which the frames of typer's help cut no name
_NO_CHOICE = re.compile(r"'([^']*)' is not one of ('.+')")  # as typer says it
_BadArguments: Any = typer.BadParameter.__mro__[2]  # ClickException, which is not where it was in every typer


def console(*, stderr: bool = False) -> Console:
    """As wide as its terminal; what goes to a file or a pipe is not wrapped."""
    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=PIPE_WIDTH)


def complain(text: str) -> None:
    """A line in red on standard error, whatever characters are in it."""
    console(stderr=True).print(text, style="red", markup=False, soft_wrap=True)


def make_table(*columns: str) -> Table:
    """An empty table; what is too wide for the terminal is folded, not cut."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    return table


def print_next(console: Console, *commands: str) -> None:
    """The commands that are useful now, a line each, so that they can be copied."""
    for command in commands:
        print_line(console, f"next: {command}")


def print_open(console: Console, place: Path) -> None:
    """The address of a page or folder that was written, as the next thing."""
    print_next(console, f"open {place.resolve().as_uri()}")


def print_line(console: Console, text: str) -> None:
    """One line, whatever characters are in it."""
    console.print(clean(text), markup=False, highlight=False, soft_wrap=True)


class _LeftAtOnceError(BaseException):
    """Ctrl-C, under a name that typer does not know."""


class Commands(TyperGroup):
    """The group of every command line of ours.

    Typer makes a usual exit of Ctrl-C, which waits for threads that compute, and shows flags as ``<bool>``.
    Without arguments a group shows its help.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _make_readable(self, ctx)
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            _make_readable(command, ctx)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _LeftAtOnceError from error


def command_line(
    group: type[Commands] = Commands, *, add_completion: bool = False, **more: Any
) -> typer.Typer:
    """A command line of ours, without commands; ``more`` are further settings of typer."""
    return typer.Typer(
        cls=group,
        add_completion=add_completion,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **more,
    )


def _make_readable(command: Any, ctx: Any) -> None:
    """Flags show no type; where a frame of columns would cut names, help has none."""
    for parameter in command.get_params(ctx):
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    if console().width < FRAMED_WIDTH:
        command.rich_markup_mode = None
        for listed in getattr(command, "commands", {}).values():
            listed.short_help = listed.help  # whole, not its first words


def run_app(app: typer.Typer, program: str, *, kept: str) -> None:
    """Run a command line of the class :class:`Commands`.

    An error is one line on standard error, with exit status 2. Ctrl-C ends the process at once, whatever
    threads still compute, with status 130 and a word on what is ``kept``.

    Threads of OpenMP sleep while they wait for each other (OMP_WAIT_POLICY, unless the user has set it): they
    would keep cores from decoders and other programs, and wait the longer for it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when a library first loads OpenMP
    try:
        sys.exit(app(sys.argv[1:], prog_name=program, standalone_mode=False))
    except MarqueeError as error:
        complain(f"error: {error}")
        sys.exit(2)
    except _BadArguments as error:
        what = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
        asked = getattr(getattr(error, "ctx", None), "command_path", program)
        complain(f"error: {what}{_near_choice(what)}; {asked} --help lists what there is")
        sys.exit(2)
    except (_LeftAtOnceError, KeyboardInterrupt, typer.Abort):
        complain(f"left at once; {kept}: a run resumes by the same command")
        os._exit(130)


def _near_choice(message: str) -> str:
    """What was probably meant by a value that is none of a flag's choices; typer tells it of names alone."""
    said = _NO_CHOICE.search(message)
    return did_you_mean(said[1], said[2].split("'")[1::2]) if said else ""

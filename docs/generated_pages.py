"""What the docs site takes from the code while it is built: commands, presets, the bibliography."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from sphinx.application import Sphinx
from typer.cli import get_docs_for_click

from extract.errors import PROGRAM
from pipeline.cli.marquee import COMMANDS, load

ROOT = Path(__file__).parents[1]


def commands() -> str:
    """Arguments and options of every command, as Typer writes them down."""
    found = []
    for name in COMMANDS:
        command = load(name)
        if name == "extract":  # what is below it is `marquee status` and the like
            command.commands, command.subcommand_metavar = {}, "[VIDEOS]"
        context = command.context_class(command, info_name=name)
        found.append(get_docs_for_click(obj=command, ctx=context, indent=1, name=name, call_prefix=PROGRAM))
    # Flags in sentences as code, or their hyphens would become a dash.
    return re.sub(r"`[^`]*`|(--[a-z][\w-]*)", lambda m: f"`{m[1]}`" if m[1] else m[0], "\n".join(found))


def preset_files() -> str:
    """The TOML file of every preset, of features and of the trainer."""
    found = []
    for title, folder in (("The files", "pipeline/presets"), ("Presets of the trainer", "train/presets")):
        found.append(f"## {title}\n")
        for path in sorted((ROOT / folder).rglob("*.toml")):
            name = path.relative_to(ROOT / folder).with_suffix("").as_posix()
            found.append(f"### `{name}`\n\n```toml\n{path.read_text('utf-8').strip()}\n```\n")
    return "\n".join(found)


def bibliography() -> str:
    """The file from which ``marquee cite`` takes its entries."""
    return f"```bibtex\n{(ROOT / 'pipeline/about/references.bib').read_text('utf-8').strip()}\n```\n"


PAGES: dict[str, Callable[[], str]] = {
    "docs/commands": commands,
    "docs/presets": preset_files,
    "docs/papers": bibliography,
}


def append(_app: Sphinx, page: str, source: list[str]) -> None:
    """Put what is generated for a page below what is written there."""
    if page in PAGES:
        source[0] += "\n" + PAGES[page]()


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", append)
    return {"parallel_read_safe": True}

"""docs/tutorial.md is the one source of the tutorial: its commands are run, its Python becomes a notebook.

``python -m bench.tutorial`` types the commands of the page in turn (``make tutorial``);
``python -m bench.tutorial --notebook`` writes docs/tutorial.ipynb again, after the page has changed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
NOTEBOOK = PAGE.with_suffix(".ipynb")
FIRST_CELL = """import os

os.chdir("..")  # from docs to the copy of the project"""
# What a notebook does not show: commands of a terminal, and what folds the Python on a page.
_LEFT_OUT = re.compile(r"^```sh\n.*?^```\n|^</?details>[^\n]*\n", re.MULTILINE | re.DOTALL)
_PYTHON = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_STEP = re.compile(r"^## (?P<title>[^\n]+)|^```sh\n(?P<command>.*?)^```", re.MULTILINE | re.DOTALL)


def steps(page: str) -> Iterator[tuple[str, str]]:
    """Headings of the page, and the commands below each; a command with the heading above it."""
    title = ""
    for match in _STEP.finditer(page):
        if match["title"]:
            title = match["title"]
        else:
            yield title, match["command"].strip()


def notebook(page: str) -> dict[str, Any]:
    """The page as a Jupyter notebook (nbformat 4.5): its prose, and its Python as cells without output."""
    start, *parts = _PYTHON.split(_LEFT_OUT.sub("", page))  # prose and code in turn
    head, _, first = start.partition("\n## ")
    cells = [("markdown", head), ("code", FIRST_CELL), ("markdown", f"## {first}")]
    cells += [("markdown" if place % 2 else "code", text) for place, text in enumerate(parts)]
    return {
        "cells": [_cell(number, kind, text) for number, (kind, text) in enumerate(cells) if text.strip()],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    found = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text.strip()}
    return found | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def written(page: str) -> str:
    """The notebook as the text of its file."""
    return json.dumps(notebook(page), indent=1, ensure_ascii=False) + "\n"


def type_all() -> int:
    """Run the page's commands in turn; the first that fails ends it, with its status."""
    console, started = Console(), perf_counter()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for title, command in steps(PAGE.read_text("utf-8")):
        console.rule(title, align="left")
        console.print(f"$ {command}", markup=False, highlight=False, soft_wrap=True)
        status = subprocess.run(command, shell=True, cwd=ROOT, env={**os.environ, "PATH": path}).returncode
        if status:
            return status
    console.print(
        f"{(perf_counter() - started) / 60:.1f} minutes; {PAGE.relative_to(ROOT)} explains each step"
    )
    return 0


def main() -> None:
    """Type the tutorial, or write its notebook."""
    parser = argparse.ArgumentParser(prog="python -m bench.tutorial", description=__doc__)
    parser.add_argument("--notebook", action="store_true", help=f"write {NOTEBOOK.relative_to(ROOT)}")
    if parser.parse_args().notebook:
        NOTEBOOK.write_text(written(PAGE.read_text("utf-8")), "utf-8")
    else:
        sys.exit(type_all())


if __name__ == "__main__":
    main()

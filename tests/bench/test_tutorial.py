"""The tutorial: its page, its notebook and its films."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from bench.tutorial import FIRST_CELL, NOTEBOOK, PAGE, ROOT, notebook, steps, written
from bench.tutorial_trailers import GENRES, films


def test_the_notebook_is_the_page() -> None:
    page = PAGE.read_text("utf-8")
    assert NOTEBOOK.read_text("utf-8") == written(page), "run python -m bench.tutorial --notebook"
    prose = [cell["source"] for cell in notebook(page)["cells"] if cell["cell_type"] == "markdown"]
    assert not any("details>" in text or "```sh" in text for text in prose)


def test_the_page_names_commands_and_a_film_that_there_are() -> None:
    commands = [shlex.split(command) for _, command in steps(PAGE.read_text("utf-8"))]
    assert [command[:2] for command in commands[1:3]] == [["marquee", "extract"], ["marquee", "summary"]]
    drawn = list(films(63))
    (shown,) = [command[3] for command in commands if command[:3] == ["marquee", "train", "scenes"]]
    assert shown in {film.trailer.name for film in drawn[:60]}
    assert all(film.genres for film in drawn)
    assert all(20 <= sum(genre in film.genres for film in drawn[:60]) <= 30 for genre in GENRES)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    """With fewer and shorter films, elsewhere."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    content = json.loads(NOTEBOOK.read_text("utf-8"))
    first = next(cell for cell in content["cells"] if cell["source"] == FIRST_CELL)
    first["source"] = f"import os, sys\nsys.path.insert(0, {str(ROOT)!r})\nos.chdir({str(tmp_path)!r})"
    (sizes,) = (cell for cell in content["cells"] if "EPOCHS = 60, 10, 50" in cell["source"])
    sizes["source"] = sizes["source"].replace("60, 10, 50", "10, 1, 1")
    ran = nbformat.from_dict(content)
    nbclient.NotebookClient(ran, timeout=200, kernel_name="python3").execute()
    shown = [output for cell in ran.cells for output in cell.get("outputs", ())]
    assert any('<progress max="10" value="10">' in str(output.get("data")) for output in shown)
    assert any("10 videos, complete" in output.get("data", {}).get("text/html", "") for output in shown)
    assert any("image/svg+xml" in output.get("data", {}) for output in shown)

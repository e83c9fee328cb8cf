"""The README of a store: its snippets read the current rows, and nobody's own text is written over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.about.readme import FIRST_LINE, write_readme
from pipeline.store.layout import Store
from pipeline.store.verify import verify

SNIPPETS = {"pandas": "pandas", "polars": "polars", "DuckDB": "duckdb", "Hugging Face datasets": "datasets",
            "Marquee": "pyarrow"}  # fmt: skip


def snippets(folder: Path) -> dict[str, str]:
    text = (folder / "README.md").read_text("utf-8")
    return dict(re.findall(r"^([\w ]+):\n\n```python\n(.*?)```", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_reads_the_rows(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip(SNIPPETS[name], reason=f"{SNIPPETS[name]} is not installed")
    assert set(snippets(folder)) == set(SNIPPETS)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    there: dict[str, object] = {}
    exec(snippets(folder)[name], there)
    table = there["table"]
    assert len(table) == 3  # type: ignore[arg-type]


def test_the_query_of_the_r_snippet_reads_the_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB runs it here as its package for R does."""
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(folder)
    text = (folder / "README.md").read_text("utf-8")
    (query,) = re.findall(r'dbGetQuery\(dbConnect\(duckdb\(\)\), "(.*)"\)', text)
    assert len(duckdb.sql(query).df()) == 3


def test_what_is_in_it(films: Store, folder: Path) -> None:
    text = (folder / "README.md").read_text("utf-8")
    assert "3 videos of" in text and "| `whisper` | `whisper` | 4 |" in text and "radford2022whisper" in text
    assert [problem for problem in verify(films).problems if "README" in problem] == []


def test_a_text_of_somebody_else_stays(films: Store, folder: Path) -> None:
    (folder / "README.md").write_text("my notes")
    write_readme(films, films.targets(), {}, 3)
    assert (folder / "README.md").read_text() == "my notes"
    (folder / "README.md").write_text(FIRST_LINE)
    write_readme(films, films.targets(), {}, 3)
    assert "## Tables" in (folder / "README.md").read_text()

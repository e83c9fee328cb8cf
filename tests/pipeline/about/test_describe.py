"""What is said of a store's tables is what its files hold."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from extract.errors import UsageError
from extract.registry import expert_names, make_expert
from pipeline.about.describe import describe, describe_experts
from pipeline.cli.about_reports import markdown_of
from pipeline.store.layout import Store

PAGE = Path(__file__).parents[3] / "docs" / "tables.md"


def test_every_column_of_every_file_is_explained(films: Store, folder: Path) -> None:
    found = {facts.name: facts for facts in describe(films)}
    for name, facts in found.items():
        if (folder / f"{name}.parquet").exists() or (folder / name).is_dir():
            path = folder / f"{name}.parquet"
            file = path if path.exists() else next((folder / name).iterdir())
            assert [column.name for column in facts.columns] == pq.read_schema(file).names, name
        assert all(column.meaning for column in facts.columns), name
    assert {"videos", "scenes", "whisper", "lowlevel", "lowlevel_video", "failures"} <= found.keys()
    assert (found["scenes"].rows, found["scenes"].videos) == (5, 2)
    assert found["scenes"].source.startswith("scenes (detector=content, ")
    assert "large-v3-turbo.pt sha256 abababababab" in found["whisper"].source
    units = {column.name: column.unit for column in found["lowlevel"].columns}
    assert units["start_seconds"] == "s" and units["scene"] == ""
    assert found["lowlevel"].columns[-1].shape == (115,)


def test_one_table_and_a_table_that_is_not_there(films: Store) -> None:
    assert [facts.name for facts in describe(films, "whisper")] == ["whisper"]
    with pytest.raises(UsageError, match=r"has no table 'whispr'.*did you mean 'whisper'"):
        describe(films, "whispr")


def test_the_page_is_what_the_command_writes() -> None:
    tables = describe_experts()
    made = [name for name in expert_names() for name in make_expert(name).tables()]
    assert [facts.name for facts in tables if facts.source] == made
    page = PAGE.read_text("utf-8")
    assert page.endswith("\n".join(markdown_of(tables)) + "\n"), (
        "docs/tables.md: replace all from '## videos' on by what `marquee describe --markdown` prints"
    )

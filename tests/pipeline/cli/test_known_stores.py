"""What is said of a store by what it remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from extract.errors import UsageError
from extract.terminal import console
from pipeline.cli.config import config_of
from pipeline.cli.store_reports import print_status
from pipeline.store.layout import Store, open_store
from pipeline.store.lock import writing


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty one, whose videos are gone."""
    made = open_store(tmp_path / "features", create=True)
    made.record_run([], options={}, versions={}, started="", root=str(tmp_path / "gone"))
    return made


def test_status_says_that_a_run_is_writing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    print_status(store.root, console())
    assert f"next: python -m extract --out {store.root}\n" in capsys.readouterr().out
    with writing(store):
        print_status(store.root, console())
    said = capsys.readouterr().out
    assert "is writing: what it has not written yet shows as missing\n" in said and "next:" not in said


def test_a_store_whose_videos_have_moved_is_not_told_to_be_given_what_it_remembers(store: Store) -> None:
    with pytest.raises(UsageError, match=f"extract --videos FOLDER --out {store.root} --new-root$"):
        config_of({"out": str(store.root)})

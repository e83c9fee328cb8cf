"""A store in a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest

import pipeline
from extract.errors import StoreError
from tests.pipeline.conftest import Kit


def test_a_store_shows_itself_and_goes_where_a_store_does(kit: Kit) -> None:
    kit.add("a.mp4", "b<i>.mp4")
    kit.fill(kit.store(), kit.plan().shards, kit.target())
    store = pipeline.Store(str(kit.out))
    page = store._repr_html_()
    assert "2 videos, complete" in page and "<td>clip</td><td>2</td>" in page
    assert set(pipeline.read(store, "clip")["video_id"].to_pylist()) == {"a", "b<i>"}
    assert store.root == kit.out


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a feature store"):
        pipeline.Store(tmp_path)

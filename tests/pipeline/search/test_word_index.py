"""The index of words: what it finds, and that it follows the store whatever happened to either."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from extract.errors import StoreError
from pipeline.search.part_index import index_path
from pipeline.search.word_index import WordIndex
from pipeline.store.layout import Store
from pipeline.store.videos import Shard, read_shards, write_shard
from tests.pipeline.about.conftest import write_tables
from tests.pipeline.conftest import Kit
from tests.pipeline.report.conftest import title

LINES = {
    "a": ["COMING SOON", "From the Director of Élise", "MI6"],
    "b": ["Comings and goings", "coming ashore SOON", "東京物語"],
    "c": ["AMELIE", "BARNABY HALE"],
}


def store_of(kit: Kit, lines: dict[str, list[str]]) -> Store:
    kit.add(*(f"{name}.mp4" for name in lines))
    store = kit.store()
    kit.plan()
    rows = {name: [title(t, 9.0 * i, 9.0 * i + 1) for i, t in enumerate(own)] for name, own in lines.items()}
    kit.record(store, write_tables(store, "ocr", {}, {"ocr": rows}))
    return store


@pytest.fixture
def store(kit: Kit) -> Store:
    return store_of(kit, LINES)


def found(store: Store, text: str, **how: int) -> list[str]:
    index = WordIndex(store)
    try:
        return [line.text for line in index.search(text, **how)]
    finally:
        index.close()


@pytest.mark.parametrize(
    ("sought", "lines"),
    [
        ("soon coming", ["COMING SOON", "coming ashore SOON"]),
        ('"coming soon"', ["COMING SOON"]),
        ("elise", ["From the Director of Élise"]),
        ("ÉLISE director", ["From the Director of Élise"]),
        ("elize", ["From the Director of Élise"]),
        ("comingz ashore", ["coming ashore SOON"]),
        ("barnbay", ["BARNABY HALE"]),
        ("barn", ["BARNABY HALE"]),
        ("mi6", ["MI6"]),
        ("物語", ["東京物語"]),
        ("語物", []),
        ("mi7", []),
        ('soon" OR a*', []),
        ("", []),
    ],
)
def test_what_is_found(store: Store, sought: str, lines: Sequence[str]) -> None:
    assert sorted(found(store, sought)) == sorted(lines)


def test_exact_lines_come_before_near_ones_and_most_is_kept(store: Store) -> None:
    index = WordIndex(store)
    hits = index.search("coming")
    assert [hit.exact for hit in hits] == [True] * 3
    near = index.search("amelia")
    assert [(hit.text, hit.exact, hit.video_id, hit.start_seconds) for hit in near] == [
        ("AMELIE", False, "c", 0.0)
    ]
    assert len(index.search("coming", most=2)) == 2
    index.close()


def test_the_index_follows_the_store(kit: Kit, store: Store) -> None:
    assert found(store, "lighthouse") == []
    lines = {**LINES, "c": ["The lighthouse"]}
    rows = {name: [title(t, 0.0, 1.0) for t in own] for name, own in lines.items()}
    (part,) = store.parts("ocr")
    part.path.unlink()
    write_tables(store, "ocr", {}, {"ocr": rows})
    assert found(store, "lighthouse") == ["The lighthouse"]
    assert found(store, "amelie") == []


@pytest.mark.parametrize("damage", ["other bytes", "cut", "another version", "another database"])
def test_a_damaged_index_is_made_anew(store: Store, damage: str) -> None:
    assert found(store, "amelie") == ["AMELIE"]
    path = index_path(store, "words.sqlite")
    if damage == "other bytes":
        path.write_bytes(path.read_bytes()[:100] + b"not a database" * 999)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    else:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99" if "version" in damage else "DROP TABLE lines")
        connection.commit()
        connection.close()
    assert found(store, "amelie") == ["AMELIE"]


def test_what_is_not_an_index_is_left_as_it_is(store: Store, tmp_path: Path) -> None:
    path = index_path(store, "words.sqlite")
    path.write_text("my notes on these films")
    with pytest.raises(StoreError, match="is not an index by Marquee: move it away"):
        WordIndex(store)
    assert path.read_text() == "my notes on these films"
    path.rename(tmp_path / "notes")
    path.symlink_to(tmp_path / "notes")
    with pytest.raises(StoreError, match="is a link"):
        WordIndex(store)
    assert (tmp_path / "notes").read_text() == "my notes on these films"


def test_the_index_is_beside_the_store_or_in_the_cache(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert index_path(store, "words.sqlite") == tmp_path / "out.words.sqlite"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pipeline.search.part_index.os.access", lambda path, mode: False)
    assert index_path(store, "words.sqlite").parent == tmp_path / "cache" / "marquee"
    assert found(store, "amelie") == ["AMELIE"]


def test_a_store_without_words_says_how_to_get_some(kit: Kit) -> None:
    kit.add("a.mp4")
    store = kit.store()
    kit.fill(store, kit.plan().shards, kit.target())
    with pytest.raises(StoreError, match=r"has no words: extract with --experts \+ocr or \+whisper"):
        WordIndex(store)


def test_a_second_search_opens_no_part(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(store, "amelie") == ["AMELIE"]
    for name in ("part_index.valid_footer", "part_index.members_of", "word_index.rows_by_video"):
        monkeypatch.setattr(f"pipeline.search.{name}", None)
    assert found(store, "barnaby") == ["BARNABY HALE"]


def test_an_index_that_another_process_holds_is_not_taken_for_damaged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(store, "amelie") == ["AMELIE"]
    monkeypatch.setattr("pipeline.search.part_index._BUSY_SECONDS", 0.05)
    path = index_path(store, "words.sqlite")
    before = path.stat().st_ino
    holder = sqlite3.connect(path)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="cannot be used: database is locked"):
        WordIndex(store)
    holder.close()
    assert path.stat().st_ino == before and found(store, "amelie") == ["AMELIE"]


def test_a_part_whose_videos_were_taken_out_is_forgotten_and_learned_again(kit: Kit, store: Store) -> None:
    """The part itself is not written to: what counts as valid has changed."""
    plan = read_shards(store)
    replaced = Shard(0, tuple(video for video in plan[0].videos if video.video_id != "c"))
    write_shard(store, replaced)
    with pytest.raises(StoreError, match="has no words"):
        WordIndex(store)
    write_shard(store, plan[0])
    assert found(store, "amelie") == ["AMELIE"]


def test_of_many_lines_the_first_are_ranked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(store, "coming", most=1) == ["COMING SOON"], "the shortest"
    monkeypatch.setattr("pipeline.search.word_index._MOST_RANKED", 2)
    assert sorted(found(store, "coming", most=3)) == ["COMING SOON", "Comings and goings"]

"""Vectors beside a store and their index: what they find, and that they follow the store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extract.errors import StoreError
from pipeline.search import vector_rows, vectors
from pipeline.search.vector_rows import Moment, VectorRows, rows_folder
from pipeline.search.vectors import TableVectors, nearest
from pipeline.storage.parquet import open_parquet
from pipeline.store.layout import Store
from pipeline.vectors import vector_index
from tests.pipeline.conftest import Kit

VIDEOS, SHARD, WIDTH = 96, 24, 4
SOUGHT = np.random.default_rng(5).normal(size=(3, WIDTH)).astype(np.float32)
SMALL: dict[tuple[Any, str], Any] = {
    (vectors, "MOST_COMPARED"): 50,
    (vector_rows, "MOST_UNINDEXED"): 40,
    (vector_rows, "_ROWS"): 20,
    (vector_index, "BLOCK_ROWS"): 160,
    (vector_index, "RECALL"): 2.0,  # never reached: all lists and all candidates
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    faiss = pytest.importorskip("faiss", reason="marquee-video[index] is not installed")
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # threads wait for each other longer than they work
    for (module, name), value in SMALL.items():
        monkeypatch.setattr(module, name, value)
    yield
    faiss.omp_set_num_threads(before)


@pytest.fixture
def store(kit: Kit) -> Store:
    return with_videos(kit, range(VIDEOS))


def with_videos(kit: Kit, numbers: range) -> Store:
    """These too, in shards of their own."""
    kit.add(*(f"{number:04d}.mp4" for number in numbers))
    store, before = kit.store(), set(kit.store().shards())
    shards = [shard for shard in kit.plan(shard_size=SHARD).shards if shard.index not in before]
    kit.fill(store, shards, kit.target())
    return store


def compared(store: Store, monkeypatch: pytest.MonkeyPatch, most: int = 12) -> list[list[Moment]]:
    """By reading the whole store."""
    with monkeypatch.context() as patch:
        patch.setattr(vectors, "MOST_COMPARED", 1 << 40)
        patch.setattr(vectors, "rows_folder", lambda store, table: Path("nowhere"))
        return nearest(store, "clip", SOUGHT, most=most)


def same(found: list[list[Moment]], wanted: list[list[Moment]]) -> bool:
    """Also to the last digits of the cosines: half-precision values are kept as they are."""
    places = [[(m.video_id, m.start_seconds, m.end_seconds) for m in own] for own in found]
    assert places == [[(m.video_id, m.start_seconds, m.end_seconds) for m in own] for own in wanted]
    cosines = [[m.cosine for m in own] for own in found]
    np.testing.assert_allclose(cosines, [[m.cosine for m in own] for own in wanted], atol=1e-6)
    return True


def opened_parts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Grows with every part whose rows are read."""
    opened: list[Any] = []

    def counted(path: Any) -> Any:
        opened.append(path)
        return open_parquet(path)

    monkeypatch.setattr(vector_rows, "open_parquet", counted)
    return opened


def blocks(store: Store) -> list[tuple[int, int, str]]:
    with_rows = VectorRows(store, "clip", WIDTH)
    with_rows.close()
    return [(block.first, block.end, block.file) for block in with_rows.index.blocks]


def test_the_index_finds_what_comparing_all_finds(
    small: None, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    found = nearest(store, "clip", SOUGHT, most=12, log=said.append)
    assert rows_folder(store, "clip").exists() and same(found, compared(store, monkeypatch))
    assert said[0].startswith("4 parts of clip are new") and "vectors 0 to 160 are indexed" in said[2]
    ends = [(first, end) for first, end, _ in blocks(store)]
    assert ends[:2] == [(0, 160), (160, 320)] and 320 < ends[-1][1] < 640
    everything = nearest(store, "clip", SOUGHT[:1], most=5000)
    assert len(everything[0]) == ends[-1][1]


def test_a_second_search_opens_no_part(small: None, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = nearest(store, "clip", SOUGHT)
    for name in ("valid_footer", "members_of"):
        monkeypatch.setattr(f"pipeline.search.part_index.{name}", None)
    monkeypatch.setattr(vector_rows, "open_parquet", None)
    assert nearest(store, "clip", SOUGHT) == before
    vector, start, end = TableVectors(store, "clip").at("0007", 1.4)
    assert (start, end) == (1.0, 1.5) and np.linalg.norm(vector) == pytest.approx(1)


def test_it_grows_with_the_store(
    small: None, kit: Kit, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearest(store, "clip", SOUGHT)
    before, opened = blocks(store), opened_parts(monkeypatch)
    with_videos(kit, range(VIDEOS, VIDEOS + 4))
    assert same(nearest(store, "clip", SOUGHT, most=12), compared(store, monkeypatch))
    assert len(opened) == 1 and blocks(store) == before, "few vectors are compared, without a block"
    with_videos(kit, range(VIDEOS + 4, VIDEOS + SHARD))
    assert same(nearest(store, "clip", SOUGHT, most=12), compared(store, monkeypatch))
    assert len(opened) == 2
    after = blocks(store)
    assert after[:2] == before[:2] and after[-1][1] > before[-1][1], "only the last block is another"
    assert {path.name for path in (rows_folder(store, "clip") / "index-0").iterdir()} == {
        "index.json", *(file for *_, file in after),
    }  # fmt: skip


def test_parts_that_are_gone_are_not_found(
    small: None, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearest(store, "clip", SOUGHT)
    first, *others = store.parts("clip")
    first.path.unlink()
    found = nearest(store, "clip", SOUGHT, most=12)
    assert same(found, compared(store, monkeypatch))
    assert min(moment.video_id for own in found for moment in own) >= f"{SHARD:04d}"
    for part in others[:2]:
        part.path.unlink()
    assert same(nearest(store, "clip", SOUGHT, most=12), compared(store, monkeypatch))
    folder = rows_folder(store, "clip")
    assert not (folder / "vectors-0.f16").exists() and not (folder / "index-0").exists(), "begun anew"
    assert (folder / "vectors-1.f16").stat().st_size < 2 * 2 * WIDTH * 9 * 2 * SHARD


def test_rows_without_a_direction_are_left_out(small: None, store: Store) -> None:
    batch = next(iter(vectors._batches([store.parts("clip")[0].path])))
    values = np.array(batch["embedding"].to_pylist(), np.float32)
    values[0], values[2] = 0, np.nan
    import pyarrow as pa

    column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), WIDTH)
    names = ["video_id", "start_seconds", "end_seconds"]
    given = pa.RecordBatch.from_arrays([*(batch[n] for n in names), column], [*names, "embedding"])
    kept = list(vector_rows._videos_of(given))
    assert sum(len(rows) for *_, rows in kept) == len(values) - 2
    np.testing.assert_array_equal(np.concatenate([rows for *_, rows in kept]), np.delete(values, [0, 2], 0))
    wanted = [name for i, name in enumerate(batch["video_id"].to_pylist()) if i not in (0, 2)]
    assert [name for name, *_ in kept] == list(dict.fromkeys(wanted))


@pytest.mark.parametrize("damage", ["rows", "vectors", "block cut", "block junk", "description", "width"])
def test_what_is_damaged_is_made_anew(
    small: None, store: Store, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearest(store, "clip", SOUGHT)
    folder = rows_folder(store, "clip")
    said: list[str] = []
    block = next((folder / "index-0").glob("160-*.faiss"))
    if damage == "rows":
        (folder / "rows.sqlite").write_bytes((folder / "rows.sqlite").read_bytes()[:100] + b"no rows" * 999)
    elif damage == "vectors":
        os.truncate(folder / "vectors-0.f16", 999)
    elif damage == "block cut":
        os.truncate(block, 999)
    elif damage == "block junk":
        block.write_bytes(b"not of FAISS".ljust(block.stat().st_size, b"!"))
    elif damage == "description":
        (folder / "index-0" / "index.json").write_text('{"blocks": [{}]}')
    else:
        import sqlite3

        with sqlite3.connect(folder / "rows.sqlite") as connection:
            connection.execute("UPDATE file SET width = 7")
    found = nearest(store, "clip", SOUGHT, most=12, log=said.append)
    assert same(found, compared(store, monkeypatch))
    anew = [line for line in said if "cannot be used" in line and line.endswith("it is made anew")]
    assert len(anew) == (damage in ("rows", "vectors", "width")) and "are indexed" in said[-1]
    assert nearest(store, "clip", SOUGHT, most=12, log=said.append) == found and "are indexed" in said[-1]


def test_what_is_not_ours_is_left_as_it_is(small: None, store: Store, tmp_path: Path) -> None:
    folder = rows_folder(store, "clip")
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a link where an index goes"):
        nearest(store, "clip", SOUGHT)
    folder.unlink()
    folder.mkdir()
    (folder / "rows.sqlite").write_text("my notes")
    with pytest.raises(StoreError, match="is not an index by Marquee: move it away"):
        nearest(store, "clip", SOUGHT)
    assert (folder / "rows.sqlite").read_text() == "my notes" and not any((tmp_path / "elsewhere").iterdir())


def test_without_faiss_all_are_compared(small: None, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "find_spec", lambda name: None)
    said: list[str] = []
    assert nearest(store, "clip", SOUGHT, log=said.append) == compared(store, monkeypatch, most=20)
    assert "pip install 'marquee-video[index]'" in said[0] and not rows_folder(store, "clip").exists()


def test_while_another_process_makes_the_index_all_are_compared(
    small: None, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    rows_folder(store, "clip").mkdir()
    with vector_rows._alone(rows_folder(store, "clip") / "index.lock") as alone:
        assert alone
        found = nearest(store, "clip", SOUGHT, most=12, log=said.append)
    assert "another search makes the index" in said[-1] and same(found, compared(store, monkeypatch))
    assert blocks(store), "the next one makes it"


SCRIPT = """
import importlib, json, os, signal, sys
import numpy as np
from pathlib import Path
from pipeline.search.vectors import nearest
from pipeline.store.layout import Store
from pipeline.vectors.vector_index import VectorIndex
from pipeline.vectors.vector_file import VectorFile

def killed_after(owner, name, calls):
    true = getattr(owner, name)
    def counted(*arguments, **options):
        nonlocal calls
        calls -= 1
        if calls < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return true(*arguments, **options)
    setattr(owner, name, counted)

small, sought = json.loads(sys.argv[3])
for module, name, value in small:
    setattr(importlib.import_module(module), name, value)
if sys.argv[2] == "reading":
    killed_after(VectorFile, "appended", 70)
elif sys.argv[2] == "indexing":
    killed_after(VectorIndex, "_built", 1)
for own in nearest(Store(Path(sys.argv[1])), "clip", np.array(sought, np.float32), most=12):
    for moment in own:
        print(moment.video_id, moment.start_seconds, round(moment.cosine, 4))
"""


def started(store: Store, how: str) -> subprocess.Popen[str]:
    small = [(module.__name__, name, value) for (module, name), value in SMALL.items()]
    call = [sys.executable, "-c", SCRIPT, str(store.root), how, json.dumps([small, SOUGHT.tolist()])]
    return subprocess.Popen(
        call, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3], stderr=subprocess.STDOUT
    )


@pytest.mark.slow
@pytest.mark.parametrize("when", ["reading", "indexing"])
def test_a_search_that_is_killed_leaves_what_the_next_one_continues(
    small: None, store: Store, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = started(store, when)
    said, _ = process.communicate()
    assert process.returncode == -9, said
    opened = opened_parts(monkeypatch)
    assert same(nearest(store, "clip", SOUGHT, most=12), compared(store, monkeypatch))
    parts = {"reading": range(1, 4), "indexing": range(1)}[when]
    assert len(opened) in parts, "those that were taken in are not read again"


@pytest.mark.slow
def test_two_searches_at_once_find_the_same(
    small: None, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [started(store, "whole") for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    wanted = [m for own in compared(store, monkeypatch) for m in own]
    assert said == ["".join(f"{m.video_id} {m.start_seconds} {round(m.cosine, 4)}\n" for m in wanted)] * 2
    assert same(nearest(store, "clip", SOUGHT, most=12), compared(store, monkeypatch))
    shutil.rmtree(rows_folder(store, "clip"))

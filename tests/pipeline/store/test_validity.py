"""A part counts where its name, its footer and the plan agree, whoever asks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract.errors import StoreError
from pipeline.storage.scan import scan
from pipeline.store.coverage import write_derived
from pipeline.store.footer import KEY, InvalidPart, read_footer
from pipeline.store.layout import Store, open_store
from pipeline.store.reading import read
from pipeline.store.status import status
from pipeline.store.todo import todo
from pipeline.store.verify import verify
from pipeline.store.videos import read_shards
from pipeline.work.plan import plan
from train.errors import DataError
from train.loading.features import FeatureSet


@pytest.fixture
def store(kit: Any) -> Store:
    kit.add("a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4")
    planned, store = kit.plan(shard_size=2), kit.store()
    kit.fill(store, planned.shards, kit.target("clip"))
    write_derived(store, planned.shards, store.targets(), [])
    return store  # type: ignore[no-any-return]


def rewritten(path: Path, change: dict[str, Any]) -> None:
    """The same rows under a footer with other values; None takes one out."""
    with pq.ParquetFile(path) as file:
        table, footer = file.read(), json.loads(file.metadata.metadata[KEY])
    footer = {name: value for name, value in (footer | change).items() if value is not None}
    with pq.ParquetWriter(path, table.schema.remove_metadata()) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({KEY: json.dumps(footer)})


def everyone_leaves_out(kit: Any, store: Store, shard: int) -> None:
    lost = {video.video_id for video in read_shards(store)[shard].videos}
    others = {video.video_id for shard in read_shards(store) for video in shard.videos} - lost
    assert set(todo(store, read_shards(store)[shard], store.targets())) == lost
    assert not status(store).complete and status(store).experts[0].missing == len(lost)
    assert set(read(store, "clip")["video_id"].to_pylist()) == others
    with pytest.raises(DataError, match=rf"clip/part-0000\d-.*`python -m extract verify {store.root}`"):
        FeatureSet.open(store, ["clip"])
    problems = verify(store).problems
    assert any(problem.startswith("clip/part-0000") for problem in problems), problems
    counts = write_derived(store, read_shards(store), store.targets())
    assert counts.states["clip"].total() == len(others)


def test_a_part_that_was_copied_over_another_counts_for_nobody(kit: Any, store: Store) -> None:
    first, second, _ = store.parts("clip")
    shutil.copy(str(first.path), str(second.path))
    everyone_leaves_out(kit, store, 1)
    kit.fill(store, read_shards(store)[1:2], kit.target("clip"))
    write_derived(store, read_shards(store), store.targets())
    assert verify(store).clean


@pytest.mark.parametrize(
    "change",
    [
        {"shard": 7},
        {"table": "clap"},
        {"fingerprint": "0" * 12},
        {"made_of": {"expert": "clip", "random_seed": None}},
        {"shard": 1},  # and its videos are of shard 0
    ],
)
def test_a_footer_that_does_not_fit_its_name_counts_for_nobody(
    kit: Any, store: Store, change: dict[str, Any]
) -> None:
    rewritten(Path(str(store.parts("clip")[0].path)), change)
    everyone_leaves_out(kit, store, 0)


def test_rows_of_another_shards_videos_count_for_nobody(kit: Any, store: Store) -> None:
    """As after a plan was renumbered: name and footer agree, the plan does not."""
    paths = [Path(str(store.shard_path(shard))) for shard in (0, 1)]
    spare = paths[0].with_name("spare")
    paths[0].rename(spare)
    paths[1].rename(paths[0])
    spare.rename(paths[1])
    for shard in (0, 1):
        assert len(todo(store, read_shards(store)[shard], store.targets())) == 2
    assert set(read(store, "clip")["video_id"].to_pylist()) == {"e"}
    assert sum("2 videos are not of this shard" in problem for problem in verify(store).problems) == 2


def test_a_plan_that_is_lost_is_made_anew_from_the_parts(kit: Any, store: Store) -> None:
    before = read_shards(store)
    Path(str(store.shard_path(1))).unlink()
    (problem, *_) = verify(store).problems
    assert problem == "videos: part-00001.parquet is missing, and tables have rows of 2 videos of it"
    assert not status(store).complete
    assert set(read(store, "clip")["video_id"].to_pylist()) == {"a", "b", "e"}
    planned = kit.plan(shard_size=2)
    assert [(shard.index, shard.videos) for shard in planned.shards] == [(s.index, s.videos) for s in before]
    assert "part-00001.parquet' was missing and has been rebuilt" in planned.warnings[0]
    assert status(store).complete and verify(store).clean


def test_a_plan_that_cannot_be_made_anew_is_refused_before_anything_is_written(
    kit: Any, store: Store
) -> None:
    Path(str(store.shard_path(1))).unlink()
    (kit.videos / "d.mp4").unlink()
    with pytest.raises(
        StoreError, match=r"part-00001.parquet' is missing, and 1 of its 2 videos \('d'\).*delete all"
    ):
        kit.plan(shard_size=2)
    assert [shard.index for shard in read_shards(store)] == [0, 2]
    for path in Path(str(store.root)).glob("*/part-00001-*.parquet"):
        path.unlink()
    assert [len(shard.videos) for shard in kit.plan(shard_size=2).shards] == [2, 1, 1]


def test_a_plan_that_was_copied_over_another_gives_no_rows_twice(kit: Any, store: Store) -> None:
    shutil.copy(str(store.shard_path(0)), str(store.shard_path(1)))
    with pytest.raises(StoreError, match=r"'a' is planned more than once.*verify"):
        kit.plan(shard_size=2)
    with pytest.raises(StoreError, match="planned more than once"):
        read(store, "videos")
    assert sorted(set(read(store, "clip")["video_id"].to_pylist())) == ["a", "b", "e"]
    report = verify(store)
    fix = report.fixes[report.problems.index("videos: 'a' is planned more than once")]
    assert fix.startswith(f"rm {store.shard_path(1)} && ")


BRACKETS = "[" * 100_000


@pytest.mark.parametrize(
    "text",
    [
        BRACKETS, '{"videos": ' + BRACKETS, "[]", "null", "7", '"x"', "", "\xff", '{"videos": []}', "{}",
    ],
)  # fmt: skip
def test_a_footer_that_is_anything_else_is_damage(kit: Any, store: Store, text: str) -> None:
    path = Path(str(store.parts("clip")[0].path))
    with pq.ParquetWriter(path, pa.schema([("a", pa.int64())])) as writer:
        writer.add_key_value_metadata({KEY: text.encode("latin-1")})
    with pytest.raises(InvalidPart, match="is damaged"):
        read_footer(path)
    everyone_leaves_out(kit, store, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": -1}, {"rows": "3"}, {"rows": 3.0}, {"rows": None}, {"rows": True}, {"rows": 10**400},
        {"rows": []},
        {"state": []}, {"state": "fine"}, {"reason": 7}, {"reason": "\ud800"}, {"size_bytes": "3"},
        {"other": 1},
        {"attempts": {}}, {"failure": [1]}, {"failure": {"stage": 1}}, {"failure": "x"},
    ],
)  # fmt: skip
def test_states_of_other_kinds_are_damage(store: Store, change: dict[str, Any]) -> None:
    path = Path(str(store.parts("clip")[0].path))
    videos = json.loads(pq.read_metadata(path).metadata[KEY])["videos"]
    rewritten(path, {"videos": {**videos, "a": videos["a"] | change}})
    with pytest.raises(InvalidPart, match="is damaged"):
        read_footer(path)


@pytest.mark.parametrize(
    "change",
    [
        {"shard": "0"}, {"table": 3}, {"tables": "clip"}, {"upstream": [1]}, {"made_of": []},
        {"notes": 1},
        {"dtype": "float8"}, {"dtype": []}, {"columns": []},
        {"columns": {"x": {"type": "int7", "meaning": ""}}},
        {"embedding": {"shape": [-1], "float32": False, "nan": False}},
        {"embedding": {"shape": [10**30], "float32": False, "nan": False}},
        {"embedding": {"shape": "x", "float32": False, "nan": False}}, {"expert": None}, {"videos": 3},
    ],
)  # fmt: skip
def test_headers_of_other_kinds_are_damage(store: Store, change: dict[str, Any]) -> None:
    path = Path(str(store.parts("clip")[0].path))
    rewritten(path, change)
    with pytest.raises(InvalidPart, match="is damaged"):
        read_footer(path)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_not_waited_for(kit: Any, store: Store, kind: str) -> None:
    import os

    path = Path(str(store.parts("clip")[0].path))
    path.unlink()
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(InvalidPart, match="is damaged"):
        read_footer(path)
    assert any("not a file of the store" in problem for problem in verify(store).problems)


@pytest.mark.parametrize(
    "text",
    [BRACKETS, "", "[]", "7", '{"format": 1, "experts": []}', '{"format": 1, "experts": {"clip": 3}}',
     '{"format": "x"}', '{"format": 1, "experts": {"clip": {"fingerprint": 3}}}', "\xff"],
)  # fmt: skip
def test_a_record_that_is_damaged_is_said_so_and_can_be_deleted(kit: Any, store: Store, text: str) -> None:
    path = Path(str(store.run_path))
    path.write_bytes(text.encode("latin-1"))
    for ask in (lambda: open_store(store.root), lambda: read(store, "clip"), lambda: verify(store)):
        with pytest.raises(StoreError, match=r"cannot be read.*delete it and run again") as refused:
            ask()
        assert "\n" not in str(refused.value)
    path.unlink()
    plan(scan(kit.videos), open_store(store.root, create=True))
    kit.record(store, kit.target("clip"))
    assert verify(store).clean


def test_the_record_of_another_program_is_not_ours_to_delete(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"name": "training", "epochs": 3}')
    with pytest.raises(StoreError, match="written by another program; give a new or empty folder"):
        open_store(tmp_path, create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]

"""A store belongs to its videos: another folder, a folder that is gone and changed files are seen."""

from __future__ import annotations

import os
import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from extract.errors import StoreError, UsageError
from pipeline import RunReport, read, run
from pipeline.storage.scan import Input, Scan, scan
from pipeline.store.coverage import write_derived
from pipeline.store.layout import Store, open_store
from pipeline.store.removal import remove
from pipeline.store.seen import Seen, seen_inputs
from pipeline.store.status import status
from pipeline.store.verify import verify
from pipeline.store.videos import read_shards
from pipeline.work.inputs import Comparison, compare, record_inputs
from pipeline.work.plan import plan

OTHER = "different contents of the same size"


def tone(path: Path, hertz: float, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 8000 * np.sin(2 * np.pi * hertz * np.arange(int(16000 * seconds)) / 16000)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def hear(videos: Any, out: Any, **changes: Any) -> RunReport:
    return run(videos, out, experts=["spectrogram"], device="cpu", decoders=1, **changes)


def files(folder: Path) -> dict[str, bytes]:
    found = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.endswith(".lock")}


@pytest.fixture
def heard(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of two tones, one of them in a subfolder, and its store."""
    videos, out = tmp_path / "A", tmp_path / "store"
    tone(videos / "trailer.wav", 440)
    tone(videos / "2024" / "other.wav", 880)
    assert hear(videos, out).exit_status == 0
    return videos, out


def test_another_folder_is_refused_and_nothing_is_written(heard: tuple[Path, Path], tmp_path: Path) -> None:
    videos, out = heard
    before = files(out)
    tone(tmp_path / "B" / "trailer.wav", 5000)
    with pytest.raises(
        UsageError, match=rf"from the videos of '{videos}', not of '{tmp_path}/B' \(1 of 2 known.*--new-root"
    ):
        hear(tmp_path / "B", out)
    with pytest.raises(UsageError, match=rf"a subfolder of it: give --videos '{videos}'"):
        hear(videos / "2024", out)
    with pytest.raises(UsageError, match=rf"which contains it: give --videos '{videos}'"):
        hear(tmp_path, out)
    with pytest.raises(UsageError, match=r"1 input has changed since: 'trailer' .*--replace-changed"):
        hear(tmp_path / "B", out, new_root=True)
    assert files(out) == before


def test_a_folder_that_moved_keeps_its_ids(heard: tuple[Path, Path], tmp_path: Path) -> None:
    videos, out = heard
    rows = read(out, "spectrogram").to_pydict()
    moved = shutil.copytree(videos, tmp_path / "moved", copy_function=shutil.copyfile)  # with new times
    with pytest.raises(UsageError, match=r"2 of 2 known inputs there with the same size.*add --new-root"):
        hear(moved, out)
    report = hear(moved, out, new_root=True)
    assert (report.videos, report.computed, report.replaced) == (2, 0, {})
    assert read(out, "spectrogram").to_pydict() == rows
    assert status(open_store(out)).root == str(moved)
    link = tmp_path / "link"
    link.symlink_to(moved)
    assert hear(link, out).computed == 0


def test_a_replaced_file_of_the_same_size_and_time_is_seen(heard: tuple[Path, Path]) -> None:
    videos, out = heard
    trailer = videos / "trailer.wav"
    rows, before = read(out, "spectrogram").to_pylist(), files(out)
    times = trailer.stat().st_atime_ns, trailer.stat().st_mtime_ns
    tone(trailer, 5000)
    os.utime(trailer, ns=times)
    with pytest.raises(UsageError, match=rf"'trailer' \({OTHER}\); --replace-changed"):
        hear(videos, out)
    assert files(out) == before
    report = hear(videos, out, replace_changed=True)
    assert report.replaced == {"trailer": OTHER} and report.computed == 1
    new = read(out, "spectrogram").to_pylist()
    for old, now in zip(rows, new, strict=True):
        assert (old == now) == (old["video_id"] != "trailer")
    assert open_store(out).run_record()["replaced"] == {"trailer": OTHER}
    assert hear(videos, out).computed == 0 and verify(open_store(out)).clean


def test_a_removed_file_that_is_still_there_stays_out(heard: tuple[Path, Path]) -> None:
    videos, out = heard
    remove(open_store(out), ["trailer"])
    report = hear(videos, out)
    assert (report.videos, report.computed, report.ignored) == (1, 0, 1)
    (row,) = pq.read_table(out / "ignored.parquet").to_pylist()
    assert row["path"] == "trailer.wav" and "removed" in row["reason"] and "--undo" in row["reason"]
    assert set(read(out, "spectrogram")["video_id"].to_pylist()) == {"2024/other"}
    assert verify(open_store(out)).clean


@pytest.mark.parametrize("name", [None, "notes.txt", ".hidden.mp4"])
def test_a_folder_without_media_is_an_error(
    heard: tuple[Path, Path], tmp_path: Path, name: str | None
) -> None:
    bare, new = tmp_path / "bare", tmp_path / "new"
    bare.mkdir()
    if name is not None:
        (bare / name).write_text("not a film")
    before = files(heard[1])
    for out in (new, heard[1]):
        with pytest.raises(UsageError, match="mounted"):
            hear(bare, out)
    assert not new.exists() and files(heard[1]) == before


def test_a_folder_that_is_emptied_is_an_error(heard: tuple[Path, Path]) -> None:
    videos, out = heard
    before = files(out)
    shutil.rmtree(videos / "2024")
    (videos / "trailer.wav").unlink()
    with pytest.raises(UsageError, match="is empty: is it mounted"):
        hear(videos, out)
    assert files(out) == before


def extracted(kit: Any, *names: str) -> Store:
    """A store with rows of these inputs, as a run with one expert leaves it."""
    kit.add(*names)
    found = kit.scan()
    store = kit.store()
    shards = plan(found, store, shard_size=2).shards
    for shard in shards:
        record_inputs(store, found.root, shard)
    kit.fill(store, shards, kit.target("clip"))
    write_derived(store, shards, store.targets())
    store.record_run([], options={}, versions={}, started="2024-01-01T00:00:00Z", root=str(kit.videos))
    return store  # type: ignore[no-any-return]


def compared(kit: Any, found: Scan | None = None) -> Comparison:
    return compare(found or kit.scan(), kit.store(), read_shards(kit.store()))


def test_touched_files_are_not_extracted_again(kit: Any) -> None:
    store = extracted(kit, "a.mp4", "b.mp4", "c.mp4")
    os.utime(kit.videos / "a.mp4", (1, 1))
    found = compared(kit)
    assert not found.changed
    found.refuse(new_root=False, replace_changed=False)
    found.apply()
    assert not compared(kit).seen and seen_inputs(store, 0)["a"].stamp is not None


def test_most_inputs_gone_is_refused_and_half_of_them_is_not(kit: Any) -> None:
    extracted(kit, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    for name in "ab":
        (kit.videos / f"{name}.mp4").unlink()
    compared(kit).refuse(new_root=False, replace_changed=False)
    (kit.videos / "c.mp4").unlink()
    with pytest.raises(UsageError, match=r"3 of its 4 known inputs gone .*'a.mp4'.*--new-root.*remove"):
        compared(kit).refuse(new_root=False, replace_changed=False)
    compared(kit).refuse(new_root=True, replace_changed=False)
    compared(kit, scan(kit.videos / "d.mp4")).refuse(new_root=False, replace_changed=False)


def test_a_changed_size_drops_the_rows_of_every_expert_once_it_is_allowed(kit: Any) -> None:
    store = extracted(kit, "a.mp4", "b.mp4", "c.mp4")
    older = kit.target("clip", hop=2.0)
    kit.fill(store, read_shards(store), older)
    kit.add("b.mp4", size=5)
    found = compared(kit)
    assert found.reasons == {"b": "5 bytes, previously 3"}
    with pytest.raises(UsageError, match="'b'"):
        found.refuse(new_root=True, replace_changed=False)
    found.refuse(new_root=False, replace_changed=True)
    found.apply()
    for part in store.parts("clip"):
        assert "b" not in pq.read_table(part.path)["video_id"].to_pylist()
    assert not compared(kit).changed


def test_files_without_rows_may_change(kit: Any) -> None:
    kit.add("a.mp4", "b.mp4")
    kit.plan()
    kit.add("a.mp4", size=7)
    found = compared(kit)
    assert found.reasons == {"a": "7 bytes, previously 3"}
    found.refuse(new_root=False, replace_changed=False)


def test_a_file_that_grew_while_it_was_extracted_is_taken_up_again(kit: Any) -> None:
    kit.add("a.mp4", "b.mp4")
    shards = kit.plan().shards
    kit.add("a.mp4", size=9)
    record_inputs(kit.store(), kit.videos, shards[0])
    kit.fill(kit.store(), shards, kit.target("clip"))
    found = compared(kit)
    assert found.reasons == {"a": "it was written to while it was extracted"}
    found.refuse(new_root=False, replace_changed=False)


def test_stores_that_know_nothing_of_their_inputs_are_filled_in(kit: Any) -> None:
    store = extracted(kit, "a.mp4", "b.mp4")
    shutil.rmtree(store.inputs_path(0).parent)  # type: ignore[arg-type]
    store.run_path.write_text(store.run_path.read_text().replace('"root"', '"routes"'))
    found = compared(kit)
    found.refuse(new_root=False, replace_changed=False)
    found.apply()
    record_inputs(store, kit.videos, kit.plan().shards[0])
    assert all(seen.stamp and seen.digest for seen in seen_inputs(store, 0).values())
    (kit.videos / "a.mp4").write_bytes(b"yyy")
    assert compared(kit).reasons == {"a": OTHER}


def test_imported_rows_are_of_no_file(kit: Any) -> None:
    store = kit.store()
    shards = plan(Scan(kit.videos, (Input(b"a.mp4", None), Input(b"b.mp4", None)), ()), store).shards
    kit.fill(store, shards, kit.target("clip"))
    kit.add("a.mp4")
    found = compared(kit)
    assert (found.known, found.gone, found.reasons) == (0, [], {})
    found.refuse(new_root=False, replace_changed=False)


def test_a_replaced_object_is_seen(kit: Any, bucket: Any) -> None:
    for name, content in (("a.mp4", b"xxx"), ("b.mp4", b"xxx")):
        (bucket / "v" / name).write_bytes(content)
    found, store = scan(bucket / "v"), kit.store()
    shards = plan(found, store).shards
    record_inputs(store, found.root, shards[0])
    kit.fill(store, shards, kit.target("clip"))
    store.record_run([], options={}, versions={}, started="2024-01-01T00:00:00Z", root=str(bucket / "v"))
    assert seen_inputs(store, 0)["a"] == seen_inputs(store, 0)["b"] != Seen()
    (bucket / "v" / "b.mp4").write_bytes(b"yyy")
    changed = compared(kit, scan(bucket / "v"))
    assert changed.reasons == {"b": OTHER}
    with pytest.raises(UsageError, match="'b'"):
        changed.refuse(new_root=False, replace_changed=False)
    (bucket / "w" / "a.mp4").write_bytes(b"xxx")
    with pytest.raises(UsageError, match=r"1 of 2 known inputs there.*--new-root"):
        compared(kit, scan(bucket / "w")).refuse(new_root=False, replace_changed=False)


def test_a_damaged_note_of_the_inputs_is_named(kit: Any) -> None:
    store = extracted(kit, "a.mp4")
    Path(str(store.inputs_path(0))).write_text("{")
    with pytest.raises(StoreError, match=r"00000.json' is damaged.*delete it"):
        compared(kit)
    assert "00000.json" in verify(store).problems[0]

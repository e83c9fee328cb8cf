"""Nothing outside a store is written, emptied or deleted, whatever lies in it; only names of ours go."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from extract.errors import StoreError
from pipeline.cli.commands import main
from pipeline.storage.atomic import atomic
from pipeline.store.attempts import begin, forget_all
from pipeline.store.contents import NOTES
from pipeline.store.coverage import write_derived
from pipeline.store.layout import Store
from pipeline.store.lock import writing
from pipeline.store.parts import merge_part
from pipeline.store.reading import read
from pipeline.store.videos import Shard, read_shards, update_videos, write_shard

OURS = ".tmp-part-00000-0123456789ab.parquet-1-0123abcd"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder of somebody's, with files that have names of ours; it is the same in the end."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("letter.txt", "00000-0123456789ab", OURS, ".tmp-run.json-1-0123abcd", "part-00000.parquet"):
        (folder / name).write_text("precious")
    yield folder
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(
        ("letter.txt", "00000-0123456789ab", OURS, ".tmp-run.json-1-0123abcd", "part-00000.parquet"),
        "precious",
    )


@pytest.fixture
def store(kit: Any) -> Store:
    kit.add("a.mp4", "b.mp4", "c.mp4")
    planned, store = kit.plan(shard_size=2), kit.store()
    kit.fill(store, planned.shards, kit.target("clip"))
    write_derived(store, planned.shards, store.targets(), [])
    return store  # type: ignore[no-any-return]


def write_everything(kit: Any, store: Store, shards: Sequence[Shard]) -> None:
    """All that a run writes, empties and deletes, each for itself: one refusal does not spare the others."""
    target = kit.target("clip")
    refused = []
    for step in (
        lambda: forget_all(store),
        lambda: begin(store, "00000-aaaaaaaaaaaa"),
        lambda: update_videos(store, 0, {"a": {"duration_seconds": 2.0}}),
        lambda: merge_part(store, kit.header(target), [kit.absent("a")]),
        lambda: kit.record(store, target),
        lambda: write_derived(store, shards, store.targets(), []),
    ):
        try:
            step()
        except StoreError as error:
            refused.append(str(error))
    assert all("\n" not in text for text in refused)


@pytest.mark.parametrize(
    "name",
    [
        ".lock", ".attempts", "videos", "clip", "run.json", "coverage.parquet", "failures.parquet",
        "ignored.parquet", "metadata.json", "videos/part-00001.parquet", "clip/part-00000-*.parquet",
        ".attempts/00000-0123456789ab",
    ],
)  # fmt: skip
def test_a_link_in_a_store_is_named_and_not_followed(
    kit: Any, store: Store, elsewhere: Path, name: str
) -> None:
    assert isinstance(store.root, Path)
    begin(store, "00000-0123456789ab")
    shards = read_shards(store)
    place = next(store.root.glob(name), store.root / name)
    if place.is_dir():
        shutil.rmtree(place)
        place.symlink_to(elsewhere)
    else:
        place.unlink(missing_ok=True)
        place.symlink_to(elsewhere / "letter.txt")
    with (
        pytest.raises(StoreError, match=f"{place.name}' is a link.* delete the link") as refused,
        writing(store),
    ):
        pass
    assert "\n" not in str(refused.value)
    write_everything(kit, store, shards)
    assert place.is_symlink() or place.is_file(), "a file of ours takes the place of the link itself"


def test_a_lock_that_is_a_second_name_of_a_file_is_not_emptied(store: Store, elsewhere: Path) -> None:
    os.link(elsewhere / "letter.txt", store.root / ".lock")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"\.lock' has another name elsewhere"), writing(store):
        pass
    os.unlink(store.root / ".lock")  # type: ignore[arg-type]
    os.mkfifo(store.root / ".lock")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"\.lock' is not a file"), writing(store):
        pass


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize(
    "text", [b"dear diary", b"[1]", b'{"name": "npm"}', b"null", b"\xff\0", b"[" * 100_000]
)
def test_a_lock_that_is_not_ours_is_left_as_it_is(
    tmp_path: Path, request: pytest.FixtureRequest, remote: bool, text: bytes
) -> None:
    root = request.getfixturevalue("bucket") / "out" if remote else tmp_path
    (root / ".lock").write_bytes(text)
    with (
        pytest.raises(StoreError, match=r"\.lock' is not a lock that Marquee wrote.* move it away"),
        writing(Store(root), renew_seconds=0.01, watch_seconds=0.01),
    ):
        pass
    assert (root / ".lock").read_bytes() == text


@pytest.mark.usefixtures("planted_experts")
@pytest.mark.parametrize("remote", [False, True])
def test_the_commands_touch_nothing_but_files_of_the_store(
    tmp_path: Path,
    small_trailers: list[Path],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    remote: bool,
) -> None:
    """Neighbours whose names begin alike, and strangers inside the store, stay the same."""
    place = request.getfixturevalue("bucket") if remote else tmp_path / "disk"
    for name in ("a", "b"):
        (place / "videos" / f"{name}.mp4").parent.mkdir(parents=True, exist_ok=True)
        (place / "videos" / f"{name}.mp4").write_bytes(small_trailers[0].read_bytes())
    out = place / "out"

    def command(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["extract", *map(str, arguments)])
        with contextlib.suppress(SystemExit):
            main()

    where = ("--videos", place / "videos", "--out", out)
    run = (*where, "--experts", "scenes", "--device", "cpu", "--detector", "content")
    command(*run)
    assert len(read(out, "videos")) == 2
    names = (
        "out.lock", "out2/.lock", "out2/run.json", f"{OURS}", f"out/{OURS}", f"out/scenes/deep/{OURS}",
        "out/notes.txt", "out/scenes/notes.txt", ".attempts/00000-0123456789ab", "run.json",
        "scenes/part-00000-0123456789ab.parquet", "out/photos/part-00000.parquet",
    )  # fmt: skip
    kept = [place / name for name in names]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"precious")
    films = {name: (place / "videos" / f"{name}.mp4").read_bytes() for name in ("a", "b")}
    command("verify", out)
    command("status", out)
    command("remove", out, "a")
    command(*run, "--retry-failed")
    assert read(out, "videos")["video_id"].to_pylist() == ["b"]
    assert [path.read_bytes() for path in kept] == [b"precious"] * len(kept)
    assert {name: (place / "videos" / f"{name}.mp4").read_bytes() for name in films} == films


def test_only_files_of_our_names_are_deleted(kit: Any, store: Store, elsewhere: Path) -> None:
    assert isinstance(store.root, Path)
    notes = store.root / NOTES
    (notes / "folder").mkdir(parents=True)
    kept = [
        notes / "thesis.txt", notes / "folder" / "00000-0123456789ab", store.root / ".tmp-notes-1-0123abcd",
        store.root / ".tmp-mine", store.root / "clip" / ".tmp-mine", 
        store.root / "photos" / ".tmp-a.jpg-1-0123abcd",
        store.root / "clip" / "deep" / OURS,
    ]  # fmt: skip
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("precious")
    links = [notes / "00001-0123456789ab", store.root / "clip" / OURS.replace("00000", "00001")]
    links[1].symlink_to(elsewhere / "letter.txt")
    os.link(elsewhere / OURS, store.root / "clip" / OURS)
    (notes / "00000-0123456789ab").touch()
    with writing(store):
        forget_all(store)
    assert not (notes / "00000-0123456789ab").exists() and not (store.root / "clip" / OURS).exists()
    assert all(path.read_text() == "precious" for path in kept) and links[1].is_symlink()


def test_a_link_that_comes_after_the_run_has_begun_is_not_followed(
    kit: Any, store: Store, elsewhere: Path
) -> None:
    assert isinstance(store.root, Path)
    shards = read_shards(store)
    with writing(store):
        for name in ("clip", ".attempts", "videos"):
            shutil.rmtree(store.root / name, ignore_errors=True)
            (store.root / name).symlink_to(elsewhere)
        for file in ("run.json", "coverage.parquet"):
            (store.root / file).unlink()
            (store.root / file).symlink_to(elsewhere / "letter.txt")
        target = kit.target("clip")
        for step in (
            lambda: begin(store, "00000-aaaaaaaaaaaa"),
            lambda: merge_part(store, kit.header(target), [kit.absent("a")]),
            lambda: write_shard(store, shards[0]),
        ):
            with pytest.raises(StoreError, match="is a link"):
                step()
        forget_all(store)
        (store.root / "run.json").unlink()
        kit.record(store, target)
        write_derived(store, [], [], [])
    assert not (store.root / "coverage.parquet").is_symlink(), "the link gave way to the file"


def test_the_folder_that_the_user_names_may_be_a_link(kit: Any, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "features").symlink_to(tmp_path / "disk")
    kit.out = tmp_path / "features"
    kit.add("a.mp4")
    with writing(kit.store()):
        kit.fill(kit.store(), kit.plan().shards, kit.target())
    assert (tmp_path / "disk" / "run.json").exists()


def test_a_store_whose_folder_is_gone_is_not_made_again(kit: Any, store: Store) -> None:
    assert isinstance(store.root, Path)
    target = kit.target("clip")
    shutil.rmtree(store.root)
    for step in (
        lambda: begin(store, "00000-aaaaaaaaaaaa"),
        lambda: merge_part(store, kit.header(target), [kit.absent("a")]),
        lambda: write_derived(store, [], [], []),
    ):
        with pytest.raises(StoreError, match="is gone"):
            step()
    assert not store.root.exists()


def test_names_of_a_hostile_record_lead_nowhere(kit: Any, store: Store) -> None:
    assert isinstance(store.root, Path)
    text = store.run_path.read_text()  # type: ignore[union-attr]
    for spoilt in (
        text.replace('"clip"', '"../elsewhere"'),
        text.replace(kit.target("clip").fingerprint, "../x"),
    ):
        store.run_path.write_text(spoilt)  # type: ignore[union-attr]
        with pytest.raises(StoreError, match=r"cannot be read.*is not"):
            store.targets()


def test_a_folder_between_may_not_be_a_link(tmp_path: Path, elsewhere: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "below").symlink_to(elsewhere)
    with (
        pytest.raises(StoreError, match=r"below' is a link"),
        atomic(out / "below" / "letter.txt", below=out) as path,
    ):
        path.write_text("other")

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from extract.errors import StoreError, UsageError
from pipeline.storage.location import join, location
from pipeline.storage.scan import Scan, scan


def names(found: Scan) -> list[bytes]:
    return [entry.raw for entry in found.inputs]


def reasons(found: Scan) -> dict[bytes, str]:
    return {entry.raw: entry.reason for entry in found.ignored}


def test_every_file_is_an_input_or_has_a_reason(kit: Any) -> None:
    kit.add("b.MP4", "a/x.mkv", "a/notes.json", "README", ".hidden.mp4", "a/._x.mkv", ".git/c.mp4", "s.wav")
    found = scan(kit.videos)
    assert names(found) == [b"a/x.mkv", b"b.MP4", b"s.wav"]
    assert all(entry.size_bytes == 3 and entry.problem is None for entry in found.inputs)
    assert reasons(found) == {
        b".git": "hidden",
        b".hidden.mp4": "hidden",
        b"README": "no suffix",
        b"a/._x.mkv": "hidden",
        b"a/notes.json": "suffix .json is not that of a video or audio file",
    }


def test_names_are_bytes(kit: Any) -> None:
    awkward = [b"-dash.mp4", b"new\nline.mp4", b'quote\'s "q".mp4', b"caf\xe9.mp4", "映画.mp4".encode()]
    kit.add(*awkward)
    assert names(scan(kit.videos)) == sorted(awkward)


def test_what_cannot_be_opened_is_an_input_with_a_problem(kit: Any) -> None:
    (kit.videos / "broken.mp4").symlink_to("nowhere.mp4")
    (kit.videos / "self.mp4").symlink_to("self.mp4")
    os.mkfifo(kit.videos / "pipe.mp4")
    found = {entry.raw: entry.problem for entry in scan(kit.videos).inputs}
    assert found.keys() == {b"broken.mp4", b"pipe.mp4", b"self.mp4"}
    assert "broken symbolic link" in str(found[b"broken.mp4"])
    assert "symbolic link" in str(found[b"self.mp4"])
    assert "not a regular file" in str(found[b"pipe.mp4"])


def test_a_file_without_permission_is_an_input_with_a_problem(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.add("a.mp4")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    assert "permission" in str(scan(kit.videos).inputs[0].problem)


def test_loops_of_links_end_and_folders_keep_their_own_name(kit: Any, tmp_path: Path) -> None:
    kit.add("real/x.mp4")
    (kit.videos / "a_link").symlink_to("real")  # sorts before the folder it points at
    (kit.videos / "real" / "up").symlink_to("..")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "y.mp4").write_bytes(b"y")
    (elsewhere / "back").symlink_to(kit.videos)
    (kit.videos / "linked").symlink_to(elsewhere)
    found = scan(kit.videos)
    assert names(found) == [b"linked/y.mp4", b"real/x.mp4"]
    assert reasons(found) == {
        b"a_link": "the same folder as 'real'",
        b"linked/back": "the same folder as '.'",
        b"real/up": "the same folder as '.'",
    }


def test_links_to_files_are_inputs_of_their_own(kit: Any) -> None:
    kit.add("x.mp4", size=7)
    (kit.videos / "y.mp4").symlink_to("x.mp4")
    assert [(entry.raw, entry.size_bytes) for entry in scan(kit.videos).inputs] == [
        (b"x.mp4", 7),
        (b"y.mp4", 7),
    ]


def test_the_store_is_not_scanned(kit: Any) -> None:
    kit.add("x.mp4", "features/clip/y.mp4")
    found = scan(kit.videos, out=kit.videos / "features")
    assert names(found) == [b"x.mp4"]
    assert reasons(found) == {b"features": "the feature store itself"}
    assert names(scan(kit.videos, out=kit.videos / "not there yet")) == [b"features/clip/y.mp4", b"x.mp4"]
    with pytest.raises(UsageError, match="videos folder itself"):
        scan(kit.videos, out=kit.videos)


def test_one_file_is_a_folder_of_one(kit: Any) -> None:
    kit.add("x.mp4", "y.mp4", "notes.txt")
    found = scan(kit.videos / "x.mp4")
    assert (names(found), found.root) == ([b"x.mp4"], kit.videos)
    with pytest.raises(UsageError, match=r"\.txt is not"):
        scan(kit.videos / "notes.txt")
    with pytest.raises(UsageError, match="No such file"):
        scan(kit.videos / "z.mp4")


def put(place: Any, *keys: str, size: int = 3) -> None:
    for key in keys:
        place.fs.call_s3("put_object", Bucket=place.path.rstrip("/"), Key=key, Body=b"x" * size)


def test_objects_follow_the_same_rules(bucket: Any) -> None:
    put(bucket, "v/b.MP4", "v/a/x.mkv", "v/a/notes.json", "v/README", "v/.hidden.mp4", "v/.git/c.mp4")
    put(bucket, "v/a/.git/c.mp4", "v/a/.git/d/e.mp4", "v/a/...mp4", "vv/not_mine.mp4", "v/映画 100%?#.mp4")
    put(bucket, "v/empty/", "v/", "v/a/zero.wav", size=0)
    found = scan(bucket / "v")
    assert [(entry.raw, entry.size_bytes, entry.problem) for entry in found.inputs] == [
        (b"a/x.mkv", 3, None),
        (b"a/zero.wav", 0, None),
        (b"b.MP4", 3, None),
        ("映画 100%?#.mp4".encode(), 3, None),
    ]
    assert reasons(found) == {
        b".git": "hidden",
        b".hidden.mp4": "hidden",
        b"README": "no suffix",
        b"a/...mp4": "hidden",
        b"a/.git": "hidden",
        b"a/notes.json": "suffix .json is not that of a video or audio file",
    }
    assert found.root == bucket / "v"
    for entry in found.inputs:
        assert join(found.root, entry.raw).stat().st_size == entry.size_bytes


def test_names_that_are_not_one_path_are_ignored(bucket: Any) -> None:
    odd = ("v//a.mp4", "v/a//b.mp4", "v/./c.mp4", "v/a/../d.mp4", "v/a/e.mp4?versionId=1", "v/f::g.mp4")
    put(bucket, *odd, "v/a/x.mp4")
    found = scan(bucket / "v")
    assert names(found) == [b"a/x.mp4"]
    assert set(reasons(found).values()) == {"not a valid path: an empty part, '.', '..', '::'"}
    assert len(found.ignored) == len(odd)


def test_a_remote_store_is_not_scanned(bucket: Any, tmp_path: Path) -> None:
    put(bucket, "v/x.mp4", "v/features/clip/y.mp4", "v/features2/z.mp4", "v/deep/out/a.mp4")
    found = scan(bucket / "v", out=bucket / "v" / "features")
    assert names(found) == [b"deep/out/a.mp4", b"features2/z.mp4", b"x.mp4"]
    assert reasons(found) == {b"features": "the feature store itself"}
    found = scan(bucket, out=bucket / "v" / "deep" / "out")
    assert reasons(found) == {b"v/deep/out": "the feature store itself"}
    assert len(scan(bucket / "v", out=tmp_path).inputs) == 4
    with pytest.raises(UsageError, match="videos folder itself"):
        scan(bucket / "v", out=bucket / "v")


def test_one_object_is_a_folder_of_one(bucket: Any) -> None:
    put(bucket, "v/x.mp4", "v/notes.txt")
    found = scan(bucket / "v" / "x.mp4")
    assert (names(found), found.root) == ([b"x.mp4"], bucket / "v")
    with pytest.raises(UsageError, match=r"\.txt is not"):
        scan(bucket / "v" / "notes.txt")
    with pytest.raises(UsageError, match=r"'s3://.*/z\.mp4': no object has this name"):
        scan(bucket / "v" / "z.mp4")
    with pytest.raises(StoreError, match="no such bucket"):
        scan(location("s3://no-such-bucket/v"))


def test_many_objects_are_all_found(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one page of a listing."""
    keys = [f"v/{i % 3}/{i}.mp4" for i in range(12)] + [f"v/{i}.mp4" for i in range(12)]
    put(bucket, *keys)
    call = bucket.fs._call_s3

    async def short_pages(method: str, *args: Any, **options: Any) -> Any:
        if method == "list_objects_v2":
            options["MaxKeys"] = 3
        return await call(method, *args, **options)

    monkeypatch.setattr(bucket.fs, "_call_s3", short_pages)
    assert sorted(names(scan(bucket / "v"))) == sorted(key[2:].encode() for key in keys)

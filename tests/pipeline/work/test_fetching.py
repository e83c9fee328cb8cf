from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from extract.errors import MediaError, StoreError
from pipeline.storage.location import location
from pipeline.work.fetching import Fetcher

pytestmark = pytest.mark.slow


@pytest.fixture
def fetcher(tmp_path: Path) -> Iterator[Fetcher]:
    with Fetcher(ahead=2, folder=tmp_path) as fetcher:
        yield fetcher
    assert list(tmp_path.iterdir()) == []


def put(bucket: Any, name: str, content: bytes) -> Any:
    path = bucket / "v" / name
    path.fs.pipe_file(path.path, content)
    return path


def settled(fetcher: Fetcher, key: str) -> Path | MediaError:
    assert fetcher.wait(lambda: fetcher.ready(key) or fetcher.error(key), 30)
    return fetcher.ready(key) or fetcher.error(key)  # type: ignore[return-value]


def copies(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("*/*/*") if path.is_file())


def test_copies_are_whole_and_go_when_released(bucket: Any, fetcher: Fetcher, tmp_path: Path) -> None:
    big = os.urandom((17 << 20) + 5)  # several ranges
    fetcher.request("a", put(bucket, "a.mp4", big), len(big))
    fetcher.request("b", put(bucket, "empty ?#.mp3", b""), 0)
    path = settled(fetcher, "a")
    assert isinstance(path, Path) and path.read_bytes() == big and path.name == "a.mp4"
    empty = settled(fetcher, "b")
    assert isinstance(empty, Path) and empty.read_bytes() == b"" and empty.suffix == ".mp3"
    fetcher.release("a")
    assert not path.exists() and empty.exists()


def test_only_a_few_are_fetched_ahead(bucket: Any, fetcher: Fetcher, tmp_path: Path) -> None:
    for name in "abcd":
        fetcher.request(name, put(bucket, f"{name}.mp4", name.encode()))
        fetcher.request(name, bucket / "v" / f"{name}.mp4")  # once is enough
    for name in "ab":
        assert isinstance(settled(fetcher, name), Path)
    assert not fetcher.wait(lambda: fetcher.ready("c"), 0.3)
    assert copies(tmp_path) == ["a.mp4", "b.mp4"]
    fetcher.release("c")  # not wanted any more
    fetcher.release("a")
    assert isinstance(settled(fetcher, "d"), Path)
    assert copies(tmp_path) == ["b.mp4", "d.mp4"]
    with pytest.raises(KeyError):
        fetcher.ready("c")


def test_an_object_that_vanished_or_changed_fails_alone(
    bucket: Any, fetcher: Fetcher, tmp_path: Path
) -> None:
    fetcher.request("gone", bucket / "v" / "gone.mp4", 3)
    fetcher.request("longer", put(bucket, "longer.mp4", b"12345"), 3)
    for key, message in (
        ("gone", "'s3://.*/v/gone.mp4' was deleted"),
        ("longer", "'s3://.*/v/longer.mp4' changed: it had 3 bytes when it was found and has 5 now"),
    ):
        error = settled(fetcher, key)
        assert isinstance(error, MediaError) and fetcher.ready(key) is None
        with pytest.raises(MediaError, match=message):
            raise error
        fetcher.release(key)
    fetcher.request("fine", put(bucket, "fine.mp4", b"123"), 3)
    assert isinstance(settled(fetcher, "fine"), Path)
    assert copies(tmp_path) == ["fine.mp4"]


def test_an_object_that_changes_while_it_is_read_fails(
    bucket: Any, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(bucket, "a.mp4", b"x" * (9 << 20))
    call = path.fs._call_s3
    reads: list[str] = []

    async def replaced(method: str, *args: Any, **options: Any) -> Any:
        answer = await call(method, *args, **options)
        if method == "get_object" and not reads:
            reads.append(method)
            bucket_name, key = path.path.split("/", 1)
            await call("put_object", Bucket=bucket_name, Key=key, Body=b"y" * (9 << 20))
        return answer

    monkeypatch.setattr(path.fs, "_call_s3", replaced)
    fetcher.request("a", path, 9 << 20)
    error = settled(fetcher, "a")
    assert isinstance(error, MediaError) and "changed while it was fetched" in str(error)


def test_what_must_not_be_read_fails_alone_and_refused_credentials_end_all(
    bucket: Any, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs.errors import translate_boto_error

    class Answer(Exception):
        def __init__(self, code: str) -> None:
            self.response = {"Error": {"Code": code, "Message": "no"}}

    path = put(bucket, "a.mp4", b"x")
    call = path.fs._call_s3
    answers = ["AccessDenied", "ExpiredToken"]

    async def refuses(method: str, *args: Any, **options: Any) -> Any:
        if method != "get_object":
            return await call(method, *args, **options)
        raise translate_boto_error(Answer(answers.pop(0)))

    monkeypatch.setattr(path.fs, "_call_s3", refuses)
    fetcher.request("a", path)
    assert "cannot be read: AccessDenied" in str(settled(fetcher, "a"))
    fetcher.request("b", path)
    with pytest.raises(StoreError, match="the credentials are refused"):
        settled(fetcher, "b")
    with pytest.raises(StoreError, match="the credentials are refused"):
        fetcher.error("a")


FULL = """
import resource, sys
from pathlib import Path
from pipeline.work.fetching import Fetcher
from pipeline.storage.location import location
fetcher = Fetcher(folder=Path(sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
fetcher.request("a", location(sys.argv[1]))
try:
    fetcher.wait(lambda: fetcher.ready("a") or fetcher.error("a"), 30)
finally:
    fetcher.close()
"""


def test_a_disk_that_refuses_ends_the_fetching(bucket: Any, tmp_path: Path) -> None:
    path = put(bucket, "a.mp4", b"x" * 5000)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert f"errors.StoreError: cannot write '{tmp_path}/" in done.stderr and "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match=r"cannot write .*gone"):
        Fetcher(folder=tmp_path / "gone")


def test_closing_and_releasing_end_what_is_under_way(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(bucket, "a.mp4", b"x" * (20 << 20))
    call, reading, go_on = path.fs._call_s3, threading.Event(), threading.Event()
    reads: list[str] = []

    async def slow(method: str, *args: Any, **options: Any) -> Any:
        if method == "get_object":
            reads.append(options["Range"])
            reading.set()
            go_on.wait(30)
        return await call(method, *args, **options)

    monkeypatch.setattr(path.fs, "_call_s3", slow)
    fetcher = Fetcher(folder=tmp_path)
    fetcher.request("a", path)
    assert reading.wait(30)
    fetcher.release("a")
    threading.Timer(0.1, go_on.set).start()
    fetcher.close()
    assert len(reads) == 1 and list(tmp_path.iterdir()) == []


def test_local_videos_are_not_fetched(fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="local"):
        fetcher.request("a", tmp_path / "a.mp4")
    with pytest.raises(StoreError, match="no such bucket"):
        fetcher.request("b", location("s3://no-such-bucket/b.mp4"))
        settled(fetcher, "b")

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from s3fs.errors import translate_boto_error

from extract.errors import MissingDependency, StoreError, UsageError
from pipeline.storage.location import ahead, is_odd, is_remote, join, location, names, sizes, storage_errors


def test_text_is_a_path_or_a_url(tmp_path: Path) -> None:
    for text in ("videos", "/a/b", "./s3://x", "a:b", str(tmp_path)):
        assert location(text) == Path(text) and not is_remote(location(text))
    assert location(tmp_path) == tmp_path
    assert location(f"file://{tmp_path}") == tmp_path
    place = location("s3://bucket/a/b/")
    assert is_remote(place) and (str(place), place.path) == ("s3://bucket/a/b", "bucket/a/b")
    assert str(join(place, "c/ä?.mp4".encode())) == "s3://bucket/a/b/c/ä?.mp4"
    assert location(place) is place


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ftp://host/a", "ftp:// is not a supported object storage: .* s3,"),
        ("simplecache::s3://bucket/a", "simplecache::s3:// is not"),
        ("s3://", "s3://BUCKET/PREFIX"),
        ("s3:///a", "s3://BUCKET/PREFIX"),
        ("s3://key:hidden@bucket/a", "come from the environment"),
        ("s3://bucket/a//b", "an empty name"),
        ("s3://bucket/a/../b", "an empty name"),
    ],
)
def test_urls_that_cannot_be_used_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        location(text)
    assert "\n" not in str(caught.value) and "hidden" not in str(caught.value)


def test_a_missing_package_is_said_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(MissingDependency, match=r"upath.*: pip install 'marquee-video\[s3\]'"):
        location("s3://bucket/a")


LOCAL = """
import sys
from pathlib import Path
import pipeline
from pipeline.work.fetching import Fetcher
from pipeline.storage.location import location
from pipeline.store.lock import writing
from pipeline.work.plan import plan
from pipeline.storage.scan import scan
from pipeline.store.status import status
from pipeline.store.layout import open_store
from pipeline.store.verify import verify
root = Path(sys.argv[1])
(root / "v").mkdir()
(root / "v" / "a.mp4").touch()
store = open_store(location(str(root / "out")), create=True)
with writing(store):
    plan(scan(root / "v"), store)
pipeline.read(store, "videos"), status(store), verify(store)
print(*sorted({"upath", "fsspec", "s3fs", "botocore"} & sys.modules.keys()))
"""


def test_local_use_loads_nothing_for_remote_use(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOCAL, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_a_location_pickles_without_secrets(bucket: Any) -> None:
    place = bucket / "a"
    place.fs.pipe_file(place.path, b"x")
    text = pickle.dumps(place)
    assert b"a-secret" not in text and b"127.0.0.1" not in text
    assert pickle.loads(text) == place and pickle.loads(text).read_bytes() == b"x"


def test_odd_names_are_known() -> None:
    assert [
        name for name in ("a/b.mp4", ".a", "a..b", "…", "a/.b/c", "s3:b", "a?b#c%20") if is_odd(name)
    ] == []
    odd = ("", "a//b", "/a", "a/", "./a", "a/..", "a/./b", "a?versionId=3", "a::b", "s3:/b")
    assert [name for name in odd if not is_odd(name)] == []


def test_entries_are_those_of_one_folder(bucket: Any) -> None:
    for name in ("p/b", "p/a/x", "p/", "pp/c", "q"):  # one is a marker of an empty folder
        bucket.fs.call_s3("put_object", Bucket=bucket.path.rstrip("/"), Key=name, Body=name.encode())
    assert names(bucket / "p") == ["a", "b"]
    assert sizes(bucket / "p") == {"a": 0, "b": 3}
    assert names(bucket) == ["p", "pp", "q"]
    assert names(bucket / "none") == names(bucket / "q") == []


def test_many_at_a_time_keep_their_order_and_few_are_ahead(bucket: Any) -> None:
    taken: list[int] = []

    def items() -> Any:
        for number in range(1000):
            taken.append(number)
            yield number

    found = ahead(lambda number: number * 2, items(), bucket, threads=4)
    assert [next(found) for _ in range(10)] == list(range(0, 20, 2))
    assert len(taken) < 30
    found.close()  # type: ignore[attr-defined]
    with pytest.raises(ZeroDivisionError):
        list(ahead(lambda number: 1 // number, [2, 1, 0], bucket))
    assert list(ahead(str, [1, 2], Path())) == ["1", "2"]


class Answer(Exception):
    """Of the server, as boto has it."""

    def __init__(self, code: str) -> None:
        self.response = {"Error": {"Code": code, "Message": f"about\n{code}"}}


def refused(code: str) -> Exception:
    return translate_boto_error(Answer(code))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (refused("AccessDenied"), "no permission: these credentials must be allowed"),
        (refused("ExpiredToken"), r"the credentials are refused \(ExpiredToken\): renew them"),
        (refused("NoSuchBucket"), "no such bucket: create it"),
        (refused("InternalError"), "InternalError: .*about InternalError .*run again"),
        (ConnectionRefusedError("http://u:pw@host"), "cannot be reached: check the network"),
        (TimeoutError(), "cannot be reached"),
    ],
)
def test_what_the_storage_says_is_one_line(error: Exception, message: str) -> None:
    expected = f"cannot read 's3://bucket/a': .*{message}"
    with pytest.raises(StoreError, match=expected) as caught, storage_errors(location("s3://bucket/a")):
        raise error
    assert "\n" not in str(caught.value) and "pw@" not in str(caught.value)


def test_a_missing_object_is_the_callers_business(bucket: Any) -> None:
    with pytest.raises(FileNotFoundError), storage_errors(bucket):
        raise refused("NoSuchKey")

"""How downloads end: whole and right under their names, continued after a break, or not there at all."""

from __future__ import annotations

import hashlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from extract.errors import WeightsError
from extract.weights.fetch import Unreachable, fetch
from extract.weights.files import MissingWeights, download_path
from extract.weights.locate import locate, resolve
from tests.fixtures.file_server import FileServer, Served, file_server
from tests.fixtures.weight_files import CONTENT, SHA, git_blob, weight

LARGE = bytes(range(256)) * 4096  # a megabyte
LARGE_SHA = hashlib.sha256(LARGE).hexdigest()


def kept(name: str = "net.pth") -> list[str]:
    """All that is in the folder that downloads go to."""
    return sorted(path.name for path in download_path(weight(name)).parent.iterdir())


def test_a_download_is_checked_kept_and_found_again(server: FileServer) -> None:
    server.files["/net.pth"] = Served(CONTENT)
    file = weight(url=f"{server.url}/net.pth")
    heard: list[tuple[int, int | None]] = []
    path = fetch(file, lambda done, total: heard.append((done, total)))
    assert path == download_path(file) == locate(file)
    assert path.read_bytes() == CONTENT and heard == [(len(CONTENT), len(CONTENT))]
    assert resolve({"a": [file]}, download=True)["a"]["model"].published
    assert kept() == ["net.pth"] and len(server.requests) == 1


def test_a_download_tells_which_file_it_is_and_how_far(server: FileServer) -> None:
    server.files |= {"/a.pth": Served(LARGE), "/b.pth": Served(CONTENT)}
    files = [
        weight("a.pth", url=f"{server.url}/a.pth", sha256=LARGE_SHA, size_bytes=len(LARGE)),
        weight("b.pth", url=f"{server.url}/b.pth", role="b"),
    ]
    heard: list[tuple[str, int, int | None]] = []
    resolve({"e": files}, download=True, progress=lambda file, *how_far: heard.append((file.name, *how_far)))
    sizes = [done for name, done, total in heard if (name, total) == ("a.pth", len(LARGE))]
    assert len(sizes) > 1 and sizes == sorted(sizes) and sizes[-1] == len(LARGE)
    assert heard[len(sizes) :] == [("b.pth", len(CONTENT), len(CONTENT))]


@pytest.mark.parametrize(
    "headers",
    [{"ETag": '"7"'}, {"Last-Modified": "Sat, 28 Nov 2026 12:00:00 GMT"}, {}],
    ids=["etag", "date", "hash"],
)
def test_a_connection_that_breaks_is_made_again(headers: dict[str, str], server: FileServer) -> None:
    server.files["/net.pth"] = Served(LARGE, headers, cuts=[300_000, 500_000])
    file = weight(url=f"{server.url}/net.pth", sha256=LARGE_SHA)
    assert fetch(file).read_bytes() == LARGE
    assert server.asked("Range") == [None, "bytes=300000-", "bytes=800000-"]
    version = next(iter(headers.values()), None)
    assert server.asked("If-Range") == [None, version, version]


@pytest.mark.parametrize("sha256", [LARGE_SHA, None])
def test_a_download_that_was_stopped_goes_on_where_it_was(sha256: str | None, server: FileServer) -> None:
    server.files["/net.pth"] = Served(LARGE)
    file = weight(url=f"{server.url}/net.pth", sha256=sha256)
    stops = iter([KeyboardInterrupt])

    def stop(done: int, total: int | None) -> None:
        for reason in stops:
            raise reason

    with pytest.raises(KeyboardInterrupt):
        fetch(file, stop)
    assert locate(file) is None
    (part,) = download_path(file).parent.glob("*.part")
    had = part.stat().st_size
    assert 0 < had < len(LARGE)
    assert fetch(file).read_bytes() == LARGE
    assert server.asked("Range") == [None, f"bytes={had}-"] and kept() == ["net.pth"]


def test_what_was_published_anew_meanwhile_is_not_appended(server: FileServer) -> None:
    newer = LARGE[::-1]
    server.files["/net.pth"] = Served(LARGE, {"ETag": '"1"'}, cuts=[1000, 0])
    file = weight(url=f"{server.url}/net.pth", sha256=None)
    with pytest.raises(WeightsError, match="broke off after 1,000 of 1,048,576 bytes"):
        fetch(file)
    server.files["/net.pth"] = Served(newer, {"ETag": '"2"'})
    assert fetch(file).read_bytes() == newer
    assert server.asked("If-Range") == [None, '"1"', '"1"']


def test_a_whole_part_that_was_not_named_is_asked_for_anew(server: FileServer) -> None:
    """As if the process had been killed after the last byte."""
    server.files["/net.pth"] = Served(CONTENT)
    target = download_path(weight())
    target.parent.mkdir(parents=True)
    (target.parent / ".net.pth.part").write_bytes(CONTENT)
    (target.parent / ".net.pth.version").write_text('"1"')
    assert fetch(weight(url=f"{server.url}/net.pth")).read_bytes() == CONTENT
    assert kept() == ["net.pth"]


@pytest.mark.parametrize(
    ("served", "said"),
    [
        (None, "404"),
        (Served(CONTENT, {}, cuts=[4] * 4, ranges=False), "broke off after 4 of 19 bytes"),
        (Served(b"<html>log in</html>", {"Content-Type": "text/html"}), "returns a web page"),
        (Served(CONTENT[:-1]), r"sent something other than net\.pth.*nothing was kept"),
        (
            Served(redirect="ftp://127.0.0.1/net.pth"),
            "redirects to ftp://127.0.0.1/net.pth, which is not followed",
        ),
        (Served(redirect=Path(__file__).as_uri()), "Redirection to url 'file:.*' is not allowed"),
    ],
    ids=["not there", "short", "web page", "other bytes", "ftp", "local file"],
)
def test_a_failed_download_leaves_nothing_behind(
    served: Served | None, said: str, server: FileServer
) -> None:
    if served is not None:
        server.files["/net.pth"] = served
    file = weight(url=f"{server.url}/net.pth")
    with pytest.raises(WeightsError, match=said) as caught:
        fetch(file)
    assert "\n" not in str(caught.value)
    assert kept() == []
    with pytest.raises(MissingWeights, match=said):
        resolve({"a": [file]}, download=True)


@pytest.mark.parametrize("published", [{"sha256": SHA[:8]}, {"sha256": None, "git_blob": git_blob(CONTENT)}])
def test_the_hash_in_a_name_and_a_git_blob_count_before_a_file_is_named(
    published: dict[str, Any], server: FileServer
) -> None:
    server.files["/net.pth"] = Served(CONTENT[::-1])
    file = weight(url=f"{server.url}/net.pth", **published)
    with pytest.raises(WeightsError, match="sent something other"):
        fetch(file)
    assert kept() == []
    server.files["/net.pth"] = Served(CONTENT)
    assert fetch(file).read_bytes() == CONTENT


def test_a_redirect_to_another_host_names_no_file_and_gets_no_token(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with file_server() as elsewhere:
        server.files["/a/b/resolve/main/net.pth"] = Served(
            redirect=f"{elsewhere.url}/..%2F..%2Fevil.pth?name=x"
        )
        named = {"ETag": '"1"', "Content-Disposition": 'attachment; filename="../../evil.pth"'}
        elsewhere.files["/..%2F..%2Fevil.pth"] = Served(CONTENT, named)
        fetch(weight(url="https://huggingface.co/a/b/resolve/main/net.pth"))
        assert server.asked("Authorization") == ["Bearer hf_secret"]
        assert elsewhere.asked("Authorization") == [None]
    assert kept() == ["net.pth"]


def test_a_redirect_on_the_same_host_takes_the_token_along(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    server.files["/a/b/resolve/main/net.pth"] = Served(redirect="/store/1")
    server.files["/store/1"] = Served(CONTENT)
    fetch(weight(url="https://huggingface.co/a/b/resolve/main/net.pth"))
    assert server.asked("Authorization") == ["Bearer hf_secret"] * 2


@pytest.mark.parametrize("url", [Path(__file__).as_uri(), "ftp://example.org/net.pth", "ask the authors"])
def test_only_web_addresses_are_asked(url: str) -> None:
    with pytest.raises(MissingWeights, match="is not an http or https address"):
        resolve({"a": [weight(url=url)]}, download=True)


def test_two_who_want_a_file_at_once_download_it_once(server: FileServer) -> None:
    server.files["/net.pth"] = Served(LARGE)
    file = weight(url=f"{server.url}/net.pth", sha256=LARGE_SHA)
    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(lambda _: fetch(file), range(16)))
    assert {path.read_bytes() for path in paths} == {LARGE}
    assert len(server.requests) == 1 and kept() == ["net.pth"]


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(server: FileServer) -> None:
    free = os.statvfs("/").f_frsize * os.statvfs("/").f_blocks * 1000
    server.files["/net.pth"] = Served(CONTENT, {"ETag": '"1"', "Content-Length": str(free)})
    with pytest.raises(WeightsError, match=r"net\.pth needs [\d,.]+ MB more in .* are free: .*MARQUEE_CACHE"):
        fetch(weight(url=f"{server.url}/net.pth"))
    assert kept() == []


def test_a_folder_that_cannot_be_written_is_named(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARQUEE_CACHE", __file__)
    with pytest.raises(WeightsError, match=r"cannot be written: Not a directory; set MARQUEE_CACHE"):
        fetch(weight(url=f"{server.url}/net.pth"))
    assert server.requests == []


def test_a_host_that_cannot_be_reached_is_asked_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        host = f"127.0.0.1:{nobody.getsockname()[1]}"
    files = [weight(name, url=f"http://{host}/{name}") for name in ("one.pth", "two.pth")]
    with pytest.raises(Unreachable, match=f"no connection to {host}: .*refused"):
        fetch(files[0])
    with file_server() as running, pytest.raises(MissingWeights) as caught:
        running.files = {f"/{file.name}": Served(redirect=f"http://{host}/") for file in files}
        resolve({"a": [weight(file.name, url=f"{running.url}/{file.name}") for file in files]}, download=True)
    reasons = [row.reason for row in caught.value.rows]
    assert len(running.requests) == 1 and reasons[0] == reasons[1] and "no connection to" in reasons[0]

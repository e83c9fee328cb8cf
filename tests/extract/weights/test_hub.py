"""The Hugging Face hub: its cache as its own library fills it, its endpoint, its offline switch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from extract.errors import WeightsError
from extract.weights import hub
from extract.weights.fetch import fetch
from extract.weights.files import MissingWeights, download_path
from extract.weights.hub import HubFile
from extract.weights.locate import check, locate, resolve
from tests.fixtures.file_server import FileServer, Served
from tests.fixtures.weight_files import CONTENT, SHA, put, weight

COMMIT = "0123456789abcdef0123456789abcdef01234567"
URL = "https://huggingface.co/owner/net/resolve/main/folder/net.pth"


def publish(server: FileServer, content: bytes = CONTENT) -> None:
    """As the hub answers: the commit, and for a large file its SHA-256 as ETag."""
    headers = {"ETag": f'"{SHA}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
    for revision in ("main", COMMIT):
        server.files[f"/owner/net/resolve/{revision}/folder/net.pth"] = Served(content, headers)


def downloaded_by_the_library(server: FileServer, home: Path) -> Path:
    """Into the cache of an empty home, by huggingface_hub in a process of its own."""
    code = "import huggingface_hub as h; print(h.hf_hub_download('owner/net', 'folder/net.pth'))"
    environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_what_the_library_downloaded_is_found_through_its_links(server: FileServer, home: Path) -> None:
    publish(server)
    path = downloaded_by_the_library(server, home)
    assert path.is_symlink() and path.is_relative_to(home)
    asked = len(server.requests)
    found = resolve({"a": [weight(url=URL)]}, download=True)["a"]["model"]
    assert found.path == path and found.published and len(server.requests) == asked


def test_a_wrong_file_in_the_hubs_cache_is_refused_and_stays_the_librarys(
    server: FileServer, home: Path
) -> None:
    publish(server, CONTENT[::-1])
    path = downloaded_by_the_library(server, home)
    with pytest.raises(WeightsError, match="not the published"):
        check(weight(url=URL))
    assert path.read_bytes() == CONTENT[::-1]


def test_a_weights_folder_may_be_a_linked_hub_cache(tmp_path: Path) -> None:
    repository = tmp_path / "elsewhere/models--owner--net"
    put(repository / "blobs/b")
    put(repository / "refs/main", COMMIT.encode())
    pointer = repository / f"snapshots/{COMMIT}/folder/net.pth"
    pointer.parent.mkdir(parents=True)
    pointer.symlink_to(os.path.relpath(repository / "blobs/b", pointer.parent))
    (tmp_path / "w").symlink_to(tmp_path / "elsewhere")
    assert locate(weight(url=URL), [tmp_path / "w"]) == tmp_path / "w" / pointer.relative_to(
        tmp_path / "elsewhere"
    )
    (repository / "blobs/b").unlink()
    assert locate(weight(url=URL), [tmp_path / "w"]) is None


def test_a_repository_that_moved_under_an_owner_is_found_under_its_old_name(home: Path) -> None:
    path = put(home / f".cache/huggingface/hub/models--net/snapshots/{COMMIT}/folder/net.pth")
    assert locate(weight(url=URL)) == path


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({}, "home/.cache/huggingface/hub"),
        ({"HF_HOME": "~/hf"}, "home/hf/hub"),
        ({"HF_HUB_CACHE": "$HOME/cache", "HF_HOME": "/nowhere"}, "home/cache"),
        ({"HUGGINGFACE_HUB_CACHE": "~/old"}, "home/old"),
    ],
)
def test_the_cache_is_where_the_environment_of_this_moment_says(
    settings: dict[str, str], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert hub.cache() == tmp_path / folder


@pytest.mark.parametrize(
    ("url", "file"),
    [
        (URL, HubFile("owner/net", "main", "folder/net.pth")),
        ("https://huggingface.co/gpt2/resolve/v1/a.bin?download=true", HubFile("gpt2", "v1", "a.bin")),
        ("https://huggingface.co/o/n/resolve/refs%2Fpr%2F1/a%20b", HubFile("o/n", "refs/pr/1", "a b")),
        ("https://huggingface.co/datasets/o/n/resolve/main/a", None),
        ("https://huggingface.co.example.org/o/n/resolve/main/a", None),
        ("https://example.org/o/n/resolve/main/a", None),
    ],
)
def test_a_url_says_which_file_of_the_hub_it_is(url: str, file: HubFile | None) -> None:
    assert hub.hub_file(url) == file


@pytest.mark.parametrize("path", ["../../../secret", "%2e%2e/%2e%2e/secret", "/etc/hostname"])
def test_a_path_that_leaves_the_cache_is_not_followed(path: str, home: Path) -> None:
    cache = home / ".cache/huggingface/hub"
    put(cache / f"models--owner--net/snapshots/{COMMIT}/net.pth")
    put(cache / "models--owner--net/secret")
    assert locate(weight(url=f"https://huggingface.co/owner/net/resolve/main/{path}")) is None


def test_a_download_asks_the_endpoint_and_goes_on_after_a_break(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    publish(server)
    server.files["/owner/net/resolve/main/folder/net.pth"].cuts = [7]
    file = weight(url=URL)
    assert fetch(file) == download_path(file) == locate(file)
    assert server.asked("Range") == [None, "bytes=7-"] and server.asked("If-Range") == [None, f'"{SHA}"']


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_the_hub_is_not_asked(
    variable: str, server: FileServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv(variable, "1")
    publish(server)
    with pytest.raises(MissingWeights) as caught:
        resolve({"a": [weight(url=URL)]}, download=True)
    (row,) = caught.value.rows
    assert row.reason == "net.pth is not fetched from the Hugging Face hub: HF_HUB_OFFLINE is set"
    assert server.requests == []
    put(home / f".cache/huggingface/hub/models--owner--net/snapshots/{COMMIT}/folder/net.pth")
    assert resolve({"a": [weight(url=URL)]}, download=True)["a"]["model"].published


def test_a_name_that_the_hub_does_not_allow_is_told() -> None:
    with pytest.raises(MissingWeights, match="is not an address on the hub"):
        resolve({"a": [weight(url="https://huggingface.co/a/b--c/resolve/main/net.pth")]}, download=True)


def test_the_command_line_does_not_load_the_hubs_library() -> None:
    code = "import sys, extract.weights.locate; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Where weight files are found, and how they are checked."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from extract.errors import WeightsError
from extract.weights import hashing
from extract.weights.files import MissingWeights
from extract.weights.locate import check, locate, resolve, verify
from tests.fixtures.weight_files import CONTENT, SHA, git_blob, put, weight


@pytest.mark.parametrize(
    "where", ["net.pth", "other_name.pth", "panns/net.pth", "models--a--b/snapshots/1/f/net.pth"]
)
def test_a_weights_folder_is_searched_flat_in_subfolders_and_as_a_hub_cache(
    where: str, tmp_path: Path
) -> None:
    file = weight(aliases=("other_name.pth",), url="https://huggingface.co/a/b/resolve/main/f/net.pth")
    path = put(tmp_path / "w" / where)
    assert locate(file, [tmp_path / "w"]) == path
    assert locate(file) is None


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        (None, "home/.cache/torch/hub/checkpoints"),
        (None, "home/.cache/whisper"),
        (None, "home/.cache/clip"),
        (None, "home/.cache/huggingface/hub/models--a--b/snapshots/77"),
        (None, "home/.cache/marquee/weights"),
        ("TORCH_HOME", "x/hub/checkpoints"),
        ("XDG_CACHE_HOME", "x/whisper"),
        ("XDG_CACHE_HOME", "x/torch/hub/checkpoints"),
        ("HF_HOME", "x/hub/models--a--b/snapshots/77"),
        ("HF_HUB_CACHE", "x/models--a--b/snapshots/77"),
        ("MARQUEE_CACHE", "x/weights"),
    ],
)
def test_the_libraries_own_caches_are_searched(
    variable: str | None, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "x"))
    path = put(tmp_path / folder / "net.pth")
    assert locate(weight(url="https://huggingface.co/a/b/resolve/main/net.pth")) == path


def test_the_folder_comes_before_the_caches_and_the_hubs_revision_before_others(
    tmp_path: Path, home: Path
) -> None:
    file = weight(url="https://huggingface.co/a/b/resolve/main/net.pth")
    hub = home / ".cache/huggingface/hub/models--a--b"
    put(hub / "snapshots/11/net.pth", b"old")
    newest = put(hub / "snapshots/22/net.pth")
    put(hub / "refs/main", b"22")
    assert locate(file) == newest
    assert locate(file, [tmp_path / "w"]) == newest
    mine = put(tmp_path / "w/net.pth")
    assert locate(file, [tmp_path / "w"]) == mine


def test_a_generic_name_is_not_taken_from_a_flat_folder(tmp_path: Path, home: Path) -> None:
    file = weight("distilbert/model.safetensors")
    put(home / ".cache/torch/hub/checkpoints/model.safetensors")
    put(tmp_path / "w/model.safetensors")
    assert locate(file, [tmp_path / "w"]) is None
    path = put(tmp_path / "w/distilbert/model.safetensors")
    assert locate(file, [tmp_path / "w"]) == path


@pytest.mark.parametrize("published", [SHA, SHA[:8]])
def test_published_content_passes_and_a_flipped_bit_does_not(published: str, tmp_path: Path) -> None:
    file = weight(sha256=published)
    assert verify(put(tmp_path / "net.pth"), file) == SHA
    flipped = put(tmp_path / "net.pth", CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    with pytest.raises(WeightsError) as caught:
        verify(flipped, file)
    for part in (
        str(flipped),
        published,
        hashlib.sha256(flipped.read_bytes()).hexdigest(),
        file.url,
        "SHA256SUMS",
    ):
        assert part in str(caught.value)


def test_the_users_own_file_needs_an_entry_in_sha256sums(tmp_path: Path) -> None:
    put(tmp_path / "net.pth", b"fine-tuned")
    with pytest.raises(WeightsError, match="vouch for it"):
        check(weight(), tmp_path)
    own = hashlib.sha256(b"fine-tuned").hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"# mine\n{own.upper()} *net.pth\n")
    found = check(weight(), tmp_path)
    assert found is not None and (found.sha256, found.published) == (own, False)
    (tmp_path / "SHA256SUMS").write_text("net.pth is fine\n")
    with pytest.raises(WeightsError, match=r"line 1.*is fine.*sha256sum"):
        check(weight(), tmp_path)


def test_without_a_published_hash_a_file_passes_but_is_not_called_published(tmp_path: Path) -> None:
    put(tmp_path / "net.pth")
    unhashed, hashed = check(weight(sha256=None), tmp_path), check(weight(), tmp_path)
    assert unhashed is not None and not unhashed.published
    assert hashed is not None and hashed.published


def test_a_git_blob_is_as_good_as_a_hash(tmp_path: Path) -> None:
    blob = "da8e8ee2a4b7cd5b35dafbe6b92a7d2a31d46f2c"
    file = weight(sha256=None, git_blob=git_blob(CONTENT))
    put(tmp_path / "net.pth")
    found = check(file, tmp_path)
    assert found is not None and found.published and found.sha256 == SHA
    with pytest.raises(WeightsError, match=rf"not the published net\.pth.*published is git blob {blob}"):
        check(weight(sha256=None, git_blob=blob), tmp_path)
    put(tmp_path / "net.pth", CONTENT[:-1])
    with pytest.raises(WeightsError, match="not the published"):
        check(file, tmp_path)


def test_an_alternative_is_checked_against_its_own_hash(tmp_path: Path) -> None:
    other = weight("net.safetensors", sha256=hashlib.sha256(b"other").hexdigest())
    file = weight(alternatives=(other,))
    put(tmp_path / "net.safetensors", b"other")
    found = check(file, tmp_path)
    assert found is not None and found.published and found.path.name == "net.safetensors"
    put(tmp_path / "net.safetensors", CONTENT)
    with pytest.raises(WeightsError, match=str(other.sha256)):
        check(file, tmp_path)


def test_a_remembered_hash_is_used_only_while_the_file_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "SETTLED_SECONDS", -1.0)
    path = put(tmp_path / "net.pth")
    assert hashing.sha256_of(path) == SHA
    opened: list[Path] = []
    real = Path.open

    def watched(self: Path, *arguments: Any, **named: Any) -> Any:
        opened.append(self)
        return real(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", watched)
    assert hashing.sha256_of(path) == SHA
    assert path not in opened  # remembered
    before = path.stat()
    time.sleep(0.02)
    path.write_bytes(bytes(reversed(CONTENT)))  # as long as before
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # and as old, as `cp -p` would have it
    assert hashing.sha256_of(path) == hashlib.sha256(bytes(reversed(CONTENT))).hexdigest()
    assert path in opened


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    hashing.sha256_of(put(tmp_path / "net.pth"))
    assert not (hashing.cache_dir() / "hashes").exists()


def test_a_broken_or_unwritable_memory_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "SETTLED_SECONDS", -1.0)
    path = put(tmp_path / "net.pth")
    hashing.sha256_of(path)
    (record,) = (hashing.cache_dir() / "hashes").iterdir()
    record.write_text("[1")
    assert hashing.sha256_of(path) == SHA
    monkeypatch.setenv("MARQUEE_CACHE", str(path))  # a file, so nothing can be written below it
    assert hashing.sha256_of(path) == SHA


def test_resolve_gives_every_expert_its_files_by_role(tmp_path: Path) -> None:
    model = put(tmp_path / "net.pth")
    vocabulary = put(tmp_path / "vocab.txt", b"words")
    files = [weight(), weight("vocab.txt", role="vocabulary", sha256=hashlib.sha256(b"words").hexdigest())]
    found = resolve({"a": files, "b": files[:1], "c": []}, tmp_path, download=False)
    assert {e: {r: f.path for r, f in roles.items()} for e, roles in found.items()} == {
        "a": {"model": model, "vocabulary": vocabulary},
        "b": {"model": model},
        "c": {},
    }


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    files = {"a": [weight("one.pth")], "b": [weight("two.pth", size_bytes=None), weight("one.pth")]}
    with pytest.raises(MissingWeights) as caught:
        resolve(files, tmp_path, download=False)
    rows = [(r.expert, r.file.name, r.put) for r in caught.value.rows]
    assert rows == [
        ("a", "one.pth", tmp_path / "one.pth"),
        ("b", "two.pth", tmp_path / "two.pth"),
        ("b", "one.pth", tmp_path / "one.pth"),
    ]
    assert "https://example.org/two.pth" in str(caught.value)
    with pytest.raises(WeightsError, match="no such folder"):
        resolve(files, tmp_path / "none", download=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": SHA[:7]}, "8 to 64"),
        ({"sha256": SHA.upper()}, "lower-case"),
        ({"name": "../net.pth"}, r"no '\.\.'"),
        ({"name": ""}, "relative"),
        ({"name": "folder/.."}, r"no '\.\.'"),
        ({"name": "net\n.pth"}, "printable"),
        ({"aliases": ("/net.pth",)}, "relative"),
        ({"alternatives": (weight(role="vocabulary"),)}, "same role"),
    ],
)
def test_a_weight_file_checks_itself(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        weight(**changes)

"""Published weight files: where they are looked for, how they are checked, how they are fetched.

Nothing here opens a checkpoint: a file is hashed before anything reads what is in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from glob import escape
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from extract.errors import WeightsError
from extract.weights.files import MissingFile, MissingWeights, ResolvedWeight, WeightFile, download_path
from extract.weights.hashing import git_blob_of, sha256_of

SUMS = "SHA256SUMS"
_HUB_URL = re.compile(r"https://huggingface\.co/(?P<repo>[^?#]+?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


def locate(file: WeightFile, folders: Sequence[Path] = ()) -> Path | None:
    """The first local copy, unchecked: in ``folders``, in the libraries' caches, in our own.

    A folder may hold the file flat, in a subfolder of any name, or as a Hugging Face cache. A
    symlink is followed; what is not a regular file does not count.
    """
    for version in (file, *file.alternatives):
        for folder in folders:
            for path in _in_folder(version, folder):
                if path.is_file():
                    return path
    for version in (file, *file.alternatives):
        for path in _in_caches(version):
            if path.is_file():
                return path
    return None


def verify(path: Path, file: WeightFile, accepted: Collection[str] = ()) -> str:
    """The file's SHA-256, if that is the published one or one of ``accepted``.

    Raises:
        WeightsError: it is neither, or the file cannot be read.
    """
    found = sha256_of(path)
    versions = _versions_named(file, path)
    if found in accepted or any(_is_published(path, found, v) is not False for v in versions):
        return found
    published = " or ".join(
        f"{v.sha256}{'...' if len(v.sha256) < 64 else ''}" if v.sha256 else f"git blob {v.git_blob}"
        for v in versions
    )
    raise WeightsError(
        f"{path} is not the published {file.name}: its SHA-256 is {found}, published is {published}. "
        f"Delete it and fetch it again from {file.url}; if the file is your own and meant to be used, "
        f"vouch for it: run `sha256sum NAME >> {SUMS}` in the folder that you pass as --weights"
    )


def check(file: WeightFile, folder: Path | None = None) -> ResolvedWeight | None:
    """The local copy of a file after its check, or None if there is no copy.

    Raises:
        WeightsError: there is a copy, but not of what was published and nobody vouches for it.
    """
    path = locate(file, () if folder is None else (folder,))
    if path is None:
        return None
    digest = verify(path, file, () if folder is None else read_sums(folder))
    published = any(_is_published(path, digest, v) for v in _versions_named(file, path))
    return ResolvedWeight(path=path, sha256=digest, published=published)


def resolve(
    files_by_expert: Mapping[str, Sequence[WeightFile]], folder: Path | None = None, *, download: bool
) -> dict[str, dict[str, ResolvedWeight]]:
    """Checked local files of all experts: ``{expert: {role: file}}``.

    Raises:
        MissingWeights: some are nowhere, and were not to be or could not be downloaded.
        WeightsError: a file is not what was published.
    """
    from extract.weights.fetch import Unreachable, fetch

    if folder is not None and not folder.is_dir():
        raise WeightsError(f"--weights {folder}: no such folder")
    known: dict[WeightFile, ResolvedWeight] = {}
    failed: dict[WeightFile, str] = {}
    dead_hosts: dict[str, str] = {}
    for file in dict.fromkeys(f for files in files_by_expert.values() for f in files):
        here = check(file, folder)
        host = urlsplit(file.url).netloc
        if here is None and download and host not in dead_hosts:
            try:
                fetch(file)
                here = check(file)
            except Unreachable as error:
                dead_hosts[host] = str(error)
            except WeightsError as error:
                failed[file] = str(error)
        if here is not None:
            known[file] = here
        elif host in dead_hosts:
            failed[file] = dead_hosts[host]
    missing = [
        MissingFile(expert, f, _place(f, folder), failed.get(f, "not found on this machine"))
        for expert, files in files_by_expert.items()
        for f in files
        if f not in known
    ]
    if missing:
        raise MissingWeights(missing)
    return {expert: {f.role: known[f] for f in files} for expert, files in files_by_expert.items()}


def read_sums(folder: Path) -> frozenset[str]:
    """The hashes that ``SHA256SUMS`` (the format of GNU coreutils) of a folder vouches for.

    Raises:
        WeightsError: a line is not in that format.
    """
    path = folder / SUMS
    if not path.is_file():
        return frozenset()
    hashes = set()
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="surrogateescape").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.match(r"\\?([0-9a-fA-F]{64}) [ *].", line)
        if match is None:
            raise WeightsError(
                f"{path}, line {number}: {line!r} is not of the form '<64 hex digits>  <file name>'; "
                f"write the file with `sha256sum NAME > {SUMS}`"
            )
        hashes.add(match[1].lower())
    return frozenset(hashes)


def _versions_named(file: WeightFile, path: Path) -> list[WeightFile]:
    """The published versions that a path's name stands for; the first one if it says nothing."""
    versions = [file, *file.alternatives]
    named = [v for v in versions if path.name in {PurePosixPath(n).name for n in (v.name, *v.aliases)}]
    return named or [file]


def _is_published(path: Path, sha256: str, version: WeightFile) -> bool | None:
    """Whether the file is this version; None if its publisher gives nothing to tell by."""
    if version.sha256 is not None:
        return sha256.startswith(version.sha256)
    return None if version.git_blob is None else git_blob_of(path) == version.git_blob


def _in_folder(file: WeightFile, folder: Path) -> Iterator[Path]:
    for name in (file.name, *file.aliases):
        yield folder / name
        yield from sorted(folder.glob(f"*/{escape(name)}"))
    yield from _in_hub(file, folder)


def _in_caches(file: WeightFile) -> Iterator[Path]:
    home = Path.home()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    torch_home = Path(os.environ.get("TORCH_HOME") or caches / "torch")
    for name in (file.name, *file.aliases):
        if "/" not in name:  # these are flat, and a name like model.safetensors says nothing there
            yield torch_home / "hub" / "checkpoints" / name
            yield caches / "whisper" / name
            yield home / ".cache" / "clip" / name
            yield home / "panns_data" / name
    hub_home = Path(os.environ.get("HF_HOME") or caches / "huggingface")
    yield from _in_hub(file, Path(os.environ.get("HF_HUB_CACHE") or hub_home / "hub"))
    yield download_path(file)


def _in_hub(file: WeightFile, hub: Path) -> Iterator[Path]:
    """The file in a Hugging Face cache: the revision of its URL first, then any other snapshot."""
    match = _HUB_URL.fullmatch(file.url)
    if match is None:
        return
    repo, path = match["repo"], match["path"].partition("?")[0]
    for name in dict.fromkeys((repo, repo.rpartition("/")[2])):  # some repositories moved under an owner
        folder = hub / f"models--{name.replace('/', '--')}"
        reference = folder / "refs" / match["revision"]
        if reference.is_file():
            yield folder / "snapshots" / reference.read_text(encoding="utf-8").strip() / path
        yield from sorted(folder.glob(f"snapshots/*/{escape(path)}"))


def _place(file: WeightFile, folder: Path | None) -> Path:
    return download_path(file) if folder is None else folder / file.name

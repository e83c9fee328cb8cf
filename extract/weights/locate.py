"""Published weight files: where they are looked for, how they are checked, when they are downloaded.

Nothing here opens a checkpoint: a file is hashed before anything reads what is in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from glob import escape
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from extract.errors import WeightsError
from extract.weights import hub
from extract.weights.fetch import Unreachable, address, fetch
from extract.weights.files import (
    DownloadProgress,
    MissingFile,
    MissingWeights,
    ResolvedWeight,
    WeightFile,
    download_path,
)
from extract.weights.hashing import sha256_of, user_cache
from extract.weights.wheels import source_text, wheel_file

SUMS = "SHA256SUMS"


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
    return _verified(path, file, accepted).sha256


def check(file: WeightFile, folder: Path | None = None) -> ResolvedWeight | None:
    """The local copy of a file after its check, or None if there is no copy.

    Raises:
        WeightsError: there is a copy, but not of what was published and nobody vouches for it.
    """
    path = locate(file, () if folder is None else (folder,))
    if path is None:
        return None
    return _verified(path, file, () if folder is None else read_sums(folder))


def resolve(
    files_by_expert: Mapping[str, Sequence[WeightFile]],
    folder: Path | None = None,
    *,
    download: bool,
    progress: DownloadProgress | None = None,
) -> dict[str, dict[str, ResolvedWeight]]:
    """Checked local files of all experts: ``{expert: {role: file}}``.

    With ``download``, files that are not here are downloaded, and ``progress`` hears how far they are. A
    host that cannot be reached is asked once.

    Raises:
        MissingWeights: some are nowhere, and were not to be or could not be downloaded.
        WeightsError: a file is not what was published.
    """
    if folder is not None and not folder.is_dir():
        raise WeightsError(f"--weights {folder}: no such folder")
    found: dict[WeightFile, ResolvedWeight] = {}
    failed: dict[WeightFile, str] = {}
    unreachable: dict[str, Unreachable] = {}
    for file in dict.fromkeys(f for files in files_by_expert.values() for f in files):
        here = check(file, folder)
        if here is None and download:
            try:
                host = "" if wheel_file(file.url) else urlsplit(address(file)).netloc
                if host in unreachable:
                    raise unreachable[host]
                fetch(file, None if progress is None else partial(progress, file))
                here = check(file)
            except WeightsError as error:
                failed[file] = str(error)
                if isinstance(error, Unreachable):
                    unreachable[error.host] = error
        if here is not None:
            found[file] = here
    missing = [
        MissingFile(expert, f, _place(f, folder), failed.get(f, "not found on this machine"))
        for expert, files in files_by_expert.items()
        for f in files
        if f not in found
    ]
    if missing:
        raise MissingWeights(missing)
    return {expert: {f.role: found[f] for f in files} for expert, files in files_by_expert.items()}


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


def _verified(path: Path, file: WeightFile, accepted: Collection[str]) -> ResolvedWeight:
    digest = sha256_of(path)
    versions = _versions_named(file, path)
    matches = [version.matches(path, digest) for version in versions]
    if digest in accepted or any(match is not False for match in matches):
        return ResolvedWeight(path=path, sha256=digest, published=any(matches))
    raise WeightsError(
        f"{path} is not the published {file.name}: its SHA-256 is {digest}, published is "
        f"{' or '.join(str(version.published) for version in versions)}. "
        f"Delete it and fetch it again from {source_text(file.url)}; if the file is your own and meant to be "
        f"used, vouch for it: run `sha256sum NAME >> {SUMS}` in the folder that you pass as --weights"
    )


def _versions_named(file: WeightFile, path: Path) -> list[WeightFile]:
    """The published versions that a path's name stands for; the first one if it says nothing."""
    versions = [file, *file.alternatives]
    named = [v for v in versions if path.name in {PurePosixPath(n).name for n in (v.name, *v.aliases)}]
    return named or [file]


def _in_folder(file: WeightFile, folder: Path) -> Iterator[Path]:
    for name in (file.name, *file.aliases):
        yield folder / name
        yield from sorted(folder.glob(f"*/{escape(name)}"))
    yield from _in_hub(file, folder)


def _in_caches(file: WeightFile) -> Iterator[Path]:
    home = Path.home()
    torch_home = Path(os.environ.get("TORCH_HOME") or user_cache() / "torch")
    for name in (file.name, *file.aliases):
        if "/" not in name:  # these are flat, and a name like model.safetensors says nothing there
            yield torch_home / "hub" / "checkpoints" / name
            yield user_cache() / "whisper" / name
            yield home / ".cache" / "clip" / name
            yield home / "panns_data" / name
    yield from _in_hub(file, hub.cache())
    yield download_path(file)


def _in_hub(file: WeightFile, cache: Path) -> Iterator[Path]:
    published = hub.hub_file(file.url)
    if published is not None:
        yield from hub.cached(published, cache)


def _place(file: WeightFile, folder: Path | None) -> Path:
    return download_path(file) if folder is None else folder / file.name

"""Published weight files: where they are looked for, how they are checked, how they are fetched.

Nothing here opens a checkpoint: a file is hashed before anything reads what is in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from extract.errors import WeightsError
from extract.hashing import cache_dir, git_blob_of, sha256_of

SUMS = "SHA256SUMS"
_HUB_URL = re.compile(r"https://huggingface\.co/(?P<repo>[^?#]+?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass(frozen=True)
class WeightFile:
    """A published file that an expert reads.

    ``role`` is its key in ``Resources.weights``. ``name`` is the published file name; files of a
    Hugging Face folder carry that folder (``distilbert-base-uncased/model.safetensors``).
    ``sha256`` is the published hash, a prefix of at least 8 hex digits where a publisher gives no
    more, or None where none is published. ``git_blob`` is the file's id in the git repository that
    publishes it (``git hash-object FILE``), looked at where there is no SHA-256. ``aliases`` are other
    names of the same bytes, ``alternatives`` other published files that hold the same network and do
    as well.
    """

    role: str
    name: str
    sha256: str | None
    url: str
    size_bytes: int | None
    licence: str
    aliases: tuple[str, ...] = ()
    alternatives: tuple[WeightFile, ...] = ()
    git_blob: str | None = None

    def __post_init__(self) -> None:
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{8,64}", self.sha256):
            raise ValueError(f"{self.name}: sha256 is 8 to 64 lower-case hex digits, not {self.sha256!r}")
        if self.git_blob is not None and not re.fullmatch(r"[0-9a-f]{40}", self.git_blob):
            raise ValueError(f"{self.name}: git_blob is 40 lower-case hex digits, not {self.git_blob!r}")
        for name in (self.name, *self.aliases):
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"a weight file's name is relative and has no '..': {name!r}")
        for other in self.alternatives:
            if other.role != self.role or other.alternatives:
                raise ValueError(f"{other.name}: an alternative has the same role and none of its own")


@dataclass(frozen=True)
class ResolvedWeight:
    """A local file that passed its check.

    ``published`` is False for a file that the user vouches for in SHA256SUMS and for one whose
    publisher gives no hash; shards say so.
    """

    path: Path
    sha256: str
    published: bool


@dataclass(frozen=True)
class MissingFile:
    """One row of the table that :class:`MissingWeights` carries."""

    expert: str
    file: WeightFile
    put: Path
    reason: str


class MissingWeights(WeightsError):
    """Files that are nowhere; ``rows`` says for each where to get it and where to put it."""

    def __init__(self, rows: Sequence[MissingFile]) -> None:
        self.rows = tuple(rows)
        lines = [
            f"  {row.expert}: {row.file.name} ({_size(row.file.size_bytes)})\n"
            f"    get it from {row.file.url}\n    put it at   {row.put}\n    {row.reason}"
            for row in self.rows
        ]
        super().__init__(f"{len(lines)} weight file(s) missing:\n" + "\n".join(lines))


def download_path(file: WeightFile) -> Path:
    """Where a download of the file goes."""
    return cache_dir() / "weights" / file.name


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
    from extract.fetch import Unreachable, fetch

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


def _size(size_bytes: int | None) -> str:
    return "size not published" if size_bytes is None else f"{size_bytes / 1e6:,.1f} MB"

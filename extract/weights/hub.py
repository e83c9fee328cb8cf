"""The Hugging Face hub as this machine is set up: its cache, the address of a file, whether it may be asked.

huggingface_hub keeps the environment of the moment when it was first imported, often by another library.
Its settings are evaluated again here, so that ``HF_HOME`` counts whenever a notebook sets it.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

_URL = re.compile(
    r"https://huggingface\.co/(?P<repository>(?:[\w.-]+/)?[\w.-]+)/resolve/(?P<revision>[^/?#]+)/(?P<path>[^?#]+)"
)


class HubFile(NamedTuple):
    """A file of a model repository at a revision, which is a branch, a tag or a commit."""

    repository: str
    revision: str
    path: str


def hub_file(url: str) -> HubFile | None:
    """The hub's file that a published URL means; None for another URL, or one that leaves its repository."""
    match = _URL.match(url)
    if match is None:
        return None
    file = HubFile(*map(unquote, match.groups()))
    return None if ".." in PurePosixPath(file.path).parts or file.path.startswith("/") else file


def cache() -> Path:
    """The folder of the hub's cache: ``HF_HUB_CACHE``, else ``hub`` in ``HF_HOME``, as the library has it."""
    return Path(_settings()["HF_HUB_CACHE"])


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` forbids to ask the hub."""
    return bool(_settings()["HF_HUB_OFFLINE"])


def address(file: HubFile) -> str:
    """The URL to ask for a file: at ``HF_ENDPOINT``, a mirror of the hub, where it is set."""
    from huggingface_hub import hf_hub_url

    return hf_hub_url(file.repository, file.path, revision=file.revision, endpoint=_settings()["ENDPOINT"])


def token() -> str | None:
    """The user's token (``HF_TOKEN``, ``hf auth login``), which spares them the limits of nameless users."""
    from huggingface_hub import get_token

    return None if _settings()["HF_HUB_DISABLE_IMPLICIT_TOKEN"] else get_token()


def cached(file: HubFile, folder: Path) -> Iterator[Path]:
    """Copies in a hub cache at ``folder``: of the file's revision first, then of any other."""
    short_name = file.repository.rpartition("/")[2]  # some repositories moved under an owner later
    for repository in dict.fromkeys((file.repository, short_name)):
        with suppress(ValueError):  # the library refuses names that the hub does not allow
            yield from _copies(file._replace(repository=repository), folder)


def _copies(file: HubFile, folder: Path) -> Iterator[Path]:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.file_download import repo_folder_name

    snapshots = folder / repo_folder_name(repo_id=file.repository, repo_type="model") / "snapshots"
    commits = sorted(path.name for path in snapshots.glob("*"))
    for revision in dict.fromkeys((file.revision, *commits)):
        path = try_to_load_from_cache(file.repository, file.path, cache_dir=folder, revision=revision)
        if isinstance(path, str):
            yield Path(path)


def _settings() -> dict[str, Any]:
    constants = find_spec("huggingface_hub.constants")
    assert constants is not None and constants.origin is not None
    return runpy.run_path(constants.origin)

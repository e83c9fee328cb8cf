"""A feature store: a folder of Parquet files, local or on object storage, and how they are named."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from extract.errors import StoreError, command
from pipeline.storage.atomic import atomic, refusal
from pipeline.storage.location import Location, is_remote, names, read_bytes, storage_errors
from pipeline.storage.versions import marquee_version
from pipeline.store.contents import LOCK_FILE as LOCK_FILE
from pipeline.store.contents import PART, SHARD, entries
from pipeline.store.spent import added

FORMAT = 1
_MOST_RECORD_BYTES = 64 << 20
_NAME = re.compile(r"\w[\w.-]*")  # of an expert or table: one folder of the store
_FINGERPRINT = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Target:
    """The rows of one expert that are wanted: those with this fingerprint.

    ``made_of`` is what the fingerprint was made of (:func:`extract.fingerprint.fingerprint`),
    ``notes`` is written beside it in the clear without being part of it (where weights come from).
    """

    expert: str
    fingerprint: str
    tables: tuple[str, ...]
    upstream: tuple[str, ...] = ()
    made_of: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PartFile:
    path: Location
    table: str
    shard: int
    fingerprint: str


@dataclass(frozen=True)
class Store:
    """The paths of a store; opening one reads nothing but ``run.json``.

    ``check_held`` raises StoreError once another run holds the store, where that can happen to a writer.
    """

    root: Location
    check_held: Callable[[], None] | None = field(default=None, compare=False, repr=False)

    def write(self, path: Location) -> AbstractContextManager[Path]:
        """A temporary local path that takes the place of ``path``, a file of this store.

        Raises StoreError as :func:`pipeline.storage.atomic.atomic`, and where another run holds the store.
        """
        return atomic(path, below=self.root, check=self.check_held)

    @property
    def run_path(self) -> Location:
        return self.root / "run.json"

    def shard_path(self, shard: int) -> Location:
        return self.root / "videos" / shard_name(shard)

    def inputs_path(self, shard: int) -> Location:
        return self.root / "inputs" / f"{shard:05d}.json"

    def part_path(self, table: str, *, shard: int, fingerprint: str) -> Location:
        return self.root / table / f"part-{shard:05d}-{fingerprint}.parquet"

    def part(self, table: str, *, shard: int, fingerprint: str) -> PartFile:
        return PartFile(
            self.part_path(table, shard=shard, fingerprint=fingerprint), table, shard, fingerprint
        )

    def shards(self) -> list[int]:
        """Indices of all planned shards, ascending."""
        matches = (SHARD.fullmatch(name) for name in names(self.root / "videos"))
        return sorted(int(match[1]) for match in matches if match)

    def parts(self, table: str) -> list[PartFile]:
        """The files of a table, of all fingerprints, by shard."""
        folder = self.root / table
        matches = (PART.fullmatch(name) for name in names(folder))
        found = [PartFile(folder / m[0], table, int(m[1]), m[2]) for m in matches if m]
        return sorted(found, key=lambda part: (part.shard, part.fingerprint))

    def tables(self) -> list[str]:
        """Names of all tables that have a file, whatever the fingerprint; not ``videos``."""
        return [name for name in names(self.root) if self.parts(name)]

    def run_record(self) -> dict[str, Any]:
        """What ``run.json`` holds; empty before the first run. Raises StoreError for a damaged one."""
        try:
            record = json.loads(read_bytes(self.run_path, most_bytes=_MOST_RECORD_BYTES))
            if isinstance(record, dict) and "format" not in record:
                raise StoreError(
                    f"{str(self.root)!r} is not a feature store: its run.json was written by another "
                    "program; give a new or empty folder, or a feature store"
                )
            known = record["format"] <= FORMAT
            if known:
                _targets(record)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            why = " ".join(str(error).split())[:200]
            raise StoreError(
                f"{str(self.run_path)!r} cannot be read ({why}): restore it from a copy, or delete it and "
                "run again with the same options"
            ) from error
        if not known:
            raise StoreError(
                f"{str(self.root)!r} was written by a newer marquee (format {record['format']}, this one "
                f"knows {FORMAT}): upgrade marquee"
            )
        return dict(record)

    def targets(self) -> list[Target]:
        """The current rows of every expert, as the last runs wanted them, by expert."""
        return _targets(self.run_record())

    def record_run(
        self,
        targets: Iterable[Target],
        *,
        options: Mapping[str, Any],
        versions: Mapping[str, str],
        started: str,
        finished: str | None = None,
        measured: Mapping[str, Any] | None = None,
        root: str | None = None,
        replaced: Mapping[str, str] | None = None,
    ) -> None:
        """Write ``run.json``: this run, and the experts whose rows are current after it.

        ``measured``: what the stages of the run did, for people. ``root``: the folder that the paths of
        the videos are relative to; None: as before. ``replaced``: videos that the run extracted again
        because their files changed, and how.

        Experts of earlier runs stay current unless what they were read from has changed since.
        """
        before = self.run_record()
        current = {target.expert: target for target in self.targets()}
        current |= {target.expert: target for target in targets}
        record = {
            "format": FORMAT,
            "marquee": marquee_version(),
            "started": started,
            "finished": finished,
            "root": before.get("root") if root is None else root,
            "removed": before.get("removed", {}),
            "replaced": dict(replaced or {}),
            "options": dict(options),
            "versions": dict(versions),
            "measured": None if measured is None else dict(measured),
            "spent": added(
                before.get("spent", {}),
                {} if measured is None or measured == before.get("measured") else measured,
                {name: target.fingerprint for name, target in current.items()},
            ),
            "experts": {name: asdict(target) for name, target in sorted(_consistent(current).items())},
        }
        for entry in record["experts"].values():
            del entry["expert"]
        self._write_record(record)

    @property
    def videos_root(self) -> str | None:
        """The folder or prefix that the videos' paths are relative to, as the last run had it."""
        root = self.run_record().get("root")
        return root if isinstance(root, str) else None

    @property
    def weights_folder(self) -> Path | None:
        """Where the last run was told to find weights, if it is still there."""
        folder = self.run_record().get("options", {}).get("weights")
        return Path(folder) if isinstance(folder, str) and os.path.isdir(folder) else None

    def removed(self) -> dict[str, str]:
        """What was taken out of the store and stays out: path and ``video_id``."""
        return dict(self.run_record().get("removed", {}))

    def record_removed(self, removed: Mapping[str, str]) -> None:
        """The same, written down."""
        blank = {"format": FORMAT, "marquee": marquee_version(), "experts": {}}
        self._write_record({**(self.run_record() or blank), "removed": dict(removed)})

    def _write_record(self, record: Mapping[str, Any]) -> None:
        with self.write(self.run_path) as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def shard_name(shard: int) -> str:
    """Of its file among the videos."""
    return f"part-{shard:05d}.parquet"


def open_store(root: Location, *, create: bool = False) -> Store:
    """The store in this folder or below this prefix; with ``create``, a new or empty one becomes one.

    Raises StoreError where there is none, where the folder belongs to something else, or where it
    cannot be read.
    """
    try:
        str(root).encode("utf-8")
    except UnicodeEncodeError:
        raise StoreError(
            f"--out {os.fsencode(str(root))!r} is not UTF-8: give a folder whose path is"
        ) from None
    ours = f"a folder that `{command('extract')} --out` wrote"
    if _is_file(root):
        if not create:
            raise StoreError(f"{str(root)!r} is not a feature store, it is a file: give {ours}")
        raise StoreError(f"--out {str(root)!r} is a file: give a new or empty folder, or a feature store")
    store = Store(root)
    if (store.run_path.name in names(root) and store.run_record()) or store.shards():
        return store
    if not create:
        there = not isinstance(root, Path) or os.path.lexists(root)
        why = "it has no run.json and no videos/part-*.parquet" if there else "there is no such folder"
        raise StoreError(f"{str(root)!r} is not a feature store: {why}; give {ours}")
    # A run that was killed early, or whose folder was removed meanwhile, leaves files of ours alone.
    strangers = [found.name for found in entries(root) if found.role == "foreign" and found.name[0] != "."]
    if strangers:
        raise StoreError(
            f"--out {str(root)!r} contains other files ({strangers[0]!r}, {len(strangers)} in all) and is "
            "not a feature store: give a new or empty folder"
        )
    if not isinstance(root, Path):
        return store
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(refusal(root, error)) from error
    return store


def run_again(store: Store) -> str:
    """The command that continues a store with its own experts, options and videos."""
    known = store.videos_root is not None
    return command("extract", *(() if known else ("--videos", "VIDEOS")), "--out", store.root)


def _targets(record: Mapping[str, Any]) -> list[Target]:
    """Raises what a record of other types raises."""
    targets = [
        Target(
            expert=name,
            fingerprint=entry["fingerprint"],
            tables=tuple(entry["tables"]),
            upstream=tuple(entry["upstream"]),
            made_of=dict(entry["made_of"]),
            notes=dict(entry["notes"]),
        )
        for name, entry in sorted(record.get("experts", {}).items())
    ]
    for target in targets:
        for name in (target.expert, *target.tables, *target.upstream):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of an expert or table")
        if not _FINGERPRINT.fullmatch(target.fingerprint):
            raise ValueError(f"{target.fingerprint!r} is not a fingerprint")
    return targets


def _consistent(current: Mapping[str, Target]) -> dict[str, Target]:
    """The targets whose upstream is current too, in the fingerprint that they were made from."""
    kept = dict(current)
    while True:
        stale = [
            name
            for name, target in kept.items()
            for parent, fingerprint in target.made_of.get("upstream", {}).items()
            if parent not in kept or kept[parent].fingerprint != fingerprint
        ]
        if not stale:
            return kept
        kept = {name: target for name, target in kept.items() if name not in stale}


def _is_file(root: Location) -> bool:
    if not is_remote(root):
        return root.exists() and not root.is_dir()
    with storage_errors(root):
        return bool(root.fs.isfile(root.path))

"""Some videos of a store, run again and held against what is stored. Nothing is written into the store."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa

from extract.engine.engine import Engine, VideoResult
from extract.engine.rows import RowBuffer
from extract.engine.task import VideoTask
from extract.errors import UsageError, command
from extract.options import Checked, Device, Positive, Seed
from extract.selection import ExtractConfig, Selection, choose_device, select
from pipeline.device_kind import device_kind
from pipeline.recompute.compare import Difference, differences, tolerance
from pipeline.recompute.runnable import runnable
from pipeline.recompute.sources import SourceVideo, SourceVideos
from pipeline.storage.location import Location, location
from pipeline.store.footer import Footer, VideoState
from pipeline.store.layout import PartFile, Store, Target
from pipeline.store.reading import video_rows
from pipeline.store.seen import Seen, seen_inputs
from pipeline.store.validity import valid_footer
from pipeline.store.videos import Video, read_shards
from pipeline.work.config import RunConfig
from pipeline.work.host import engine_settings

Verdict = Literal["equal", "within tolerance", "different", "not compared"]


@dataclass(frozen=True, kw_only=True)
class Recompute(Checked):
    """What to run again, and where; checks itself.

    Attributes:
        count: videos to draw.
        seed: of the draw; None: another one each time.
        videos: where the videos lie now; None: where the store's last run found them.
        weights: folder with published checkpoints; None: the libraries' caches. Nothing is downloaded.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """

    count: Positive
    seed: Seed | None = None
    videos: Location | None = None
    weights: Path | None = None
    device: Device = "auto"

    elsewhere: ClassVar[tuple[str, ...]] = ("videos",)

    def __post_init__(self) -> None:
        if self.videos is not None:
            place = location(self.videos, self.named("videos"))
            if isinstance(place, Path) and not place.exists():
                raise UsageError(f"--videos {str(place)!r}: there is nothing; give the folder of the videos")
            object.__setattr__(self, "videos", place)
        super().__post_init__()
        if self.seed is None:
            object.__setattr__(self, "seed", secrets.randbelow(1_000_000))

    @classmethod
    def named(cls, field: str) -> str:
        """By the flag of the command line."""
        return "--recompute" if field == "count" else f"--{field}"


@dataclass
class TableCheck:
    """What came of one table: ``worst`` is the worst row, of ``worst_video``; ``skipped`` is by video why."""

    expert: str
    table: str
    compared: int = 0
    rows: int = 0
    verdict: Verdict = "not compared"
    worst: Difference | None = None
    worst_video: str = ""
    skipped: dict[str, str] = field(default_factory=dict)

    def skip(self, video_id: str, reason: str) -> None:
        self.skipped.setdefault(video_id, reason)

    def take(
        self, video_id: str, difference: Difference | None, *, limit: float | None, rows: int = 0
    ) -> None:
        """Book a video's worst row (None: all is equal); ``limit`` is the allowed error, None: none is."""
        self.compared += 1
        self.rows += rows
        if difference is None:
            if self.verdict == "not compared":
                self.verdict = "equal"
            return
        if limit is not None and difference.error <= limit:
            self.verdict = "different" if self.verdict == "different" else "within tolerance"
        else:
            self.verdict = "different"
        if self.worst is None or difference.error > self.worst.error:
            self.worst, self.worst_video = difference, video_id


@dataclass(frozen=True)
class Recomputation:
    """The drawn videos and what came of each table of the store, by expert."""

    drawn: tuple[str, ...]
    tables: tuple[TableCheck, ...]

    @property
    def compared(self) -> bool:
        """Whether there was anything to compare."""
        return any(check.verdict != "not compared" for check in self.tables)

    @property
    def clean(self) -> bool:
        """Whether something was compared, and nothing is different."""
        return self.compared and all(check.verdict != "different" for check in self.tables)


@dataclass(frozen=True)
class Drawn:
    """The videos of one check, with their shards."""

    shards: Mapping[str, int]
    videos: tuple[Video, ...]


def draw(store: Store, settings: Recompute) -> Drawn:
    """As many videos as were asked for, or all; which ones follows from the seed and the planned ids."""
    planned = {video.video_id: (shard.index, video) for shard in read_shards(store) for video in shard.videos}
    chosen = random.Random(settings.seed).sample(sorted(planned), min(settings.count, len(planned)))
    return Drawn(
        {name: planned[name][0] for name in chosen}, tuple(planned[name][1] for name in sorted(chosen))
    )


def recompute(store: Store, drawn: Drawn, settings: Recompute) -> Recomputation:
    """Run the drawn videos again with the experts that can run here, and compare each table.

    Raises UsageError where the videos' folder or the device is not there.
    """
    choose_device(settings.device)
    root = _root(store, settings)
    targets = store.targets()
    checks = {(t.expert, name): TableCheck(t.expert, name) for t in targets for name in t.tables}
    configs, reasons = runnable(targets, weights=settings.weights, device=settings.device)
    for check in checks.values():
        if check.expert in reasons:
            for video in drawn.videos:
                check.skip(video.video_id, reasons[check.expert])
    done: set[str] = set(reasons)
    for config in configs:
        selection = select(config)
        mine = [target for target in targets if _made_by(selection, target) and target.expert not in done]
        done |= {target.expert for target in mine}
        _Comparison(store, selection, mine, drawn.shards, checks).run(config, root, drawn.videos)
    return Recomputation(tuple(video.video_id for video in drawn.videos), tuple(checks.values()))


def _made_by(selection: Selection, target: Target) -> bool:
    return selection.fingerprints.get(target.expert) == target.fingerprint


def _root(store: Store, settings: Recompute) -> Location:
    """The folder that the videos' paths are relative to."""
    if settings.videos is not None:
        place = settings.videos
    else:
        said = store.videos_root or store.run_record().get("options", {}).get("videos")
        if not isinstance(said, str):
            raise UsageError("the store does not say where its videos are: give --videos DIR")
        place = location(said, "videos")
    if not isinstance(place, Path):
        return place
    if not place.exists():
        raise UsageError(f"there is no {str(place)!r}: give --videos DIR, where the videos are now")
    return place if place.is_dir() else place.parent


class _Comparison:
    """One extraction's results against the store's rows of these targets."""

    def __init__(
        self,
        store: Store,
        selection: Selection,
        targets: Sequence[Target],
        shards: Mapping[str, int],
        checks: Mapping[tuple[str, str], TableCheck],
    ) -> None:
        self._store, self._selection, self._targets = store, selection, targets
        self._shards, self._checks = shards, checks

    def run(self, config: ExtractConfig, root: Location, videos: Sequence[Video]) -> None:
        """Extract all of them and book what comes; memory holds what is in flight."""
        run = RunConfig(**{**vars(config), "videos": root, "out": self._store.root})
        settings = engine_settings(run, self._selection.device)
        digests = _digests(self._store, self._shards)
        with SourceVideos(root, videos, digests) as found, Engine(self._selection, settings) as engine:
            for result in engine.run(self._tasks(found)):
                found.release(result.task.video_id)
                self._take(result)
                result.ledger.discard()

    def _tasks(self, found: Iterable[SourceVideo | None]) -> Iterator[VideoTask | None]:
        for source in found:
            if source is None:
                yield None
            elif source.path is not None:
                yield VideoTask(source.video_id, source.path, tuple(self._selection.experts))
            else:
                self._not_run(source)

    def _not_run(self, source: SourceVideo) -> None:
        """A file that cannot be opened now: equal if it could not be then, else not compared."""
        for target in self._targets:
            for table in target.tables:
                check = self._checks[target.expert, table]
                footer = self._footer(target, table, source.video_id)
                state = None if footer is None else footer.videos.get(source.video_id)
                if state is not None and state.failure is not None and state.failure.stage == "open":
                    check.take(source.video_id, None, limit=None)
                else:
                    check.skip(source.video_id, source.problem)

    def _take(self, result: VideoResult) -> None:
        video_id = result.task.video_id
        for target in self._targets:
            outcome = result.outcomes[target.expert]
            for table in target.tables:
                check = self._checks[target.expert, table]
                footer = self._footer(target, table, video_id)
                if footer is None:
                    check.skip(
                        video_id,
                        f"its part is missing or damaged: {command('verify', self._store.root)} says more",
                    )
                elif video_id not in footer.videos:
                    check.skip(video_id, "not extracted yet")
                else:
                    buffer = result.ledger.buffers[target.expert][table]
                    came = VideoState.of(outcome, table, size_bytes=None)
                    self._compare(check, footer, video_id, came, buffer)

    def _compare(
        self, check: TableCheck, footer: Footer, video_id: str, came: VideoState, buffer: RowBuffer
    ) -> None:
        stored = footer.videos[video_id]
        worst = _of_states(stored, came, buffer.rows)
        if worst is None and stored.rows:
            rows = video_rows(self._part(footer.header.target, check.table, video_id).path, footer, video_id)
            try:
                found = differences(rows, buffer.batches())
                worst = max(found, key=lambda difference: difference.error, default=None)
            except (OSError, pa.ArrowException, KeyError) as error:
                check.skip(video_id, f"its part is damaged ({error})")
                return
        check.take(video_id, worst, limit=self._limit(footer), rows=stored.rows)

    def _limit(self, footer: Footer) -> float | None:
        """The error that is allowed: none on the kind of CPU that the rows were made on.

        On a GPU the last bits depend on which rows share a batch.
        """
        target = footer.header.target
        expert = self._selection.experts[target.expert]
        here = device_kind(self._selection.device if expert.on_device else "cpu")
        if here.startswith("cpu") and footer.header.devices == (here,):
            return None
        return tolerance(expert, target.made_of["precision"])

    def _footer(self, target: Target, table: str, video_id: str) -> Footer | None:
        return valid_footer(self._part(target, table, video_id), None)

    def _part(self, target: Target, table: str, video_id: str) -> PartFile:
        return self._store.part(table, shard=self._shards[video_id], fingerprint=target.fingerprint)


def _digests(store: Store, shards: Mapping[str, int]) -> dict[str, str]:
    """What told the drawn videos' files apart when they were extracted; of an old store nothing is known."""
    seen = {shard: seen_inputs(store, shard) for shard in set(shards.values())}
    found = {name: seen[shard].get(name, Seen()).digest for name, shard in shards.items()}
    return {name: digest for name, digest in found.items() if digest is not None}


def _of_states(stored: VideoState, came: VideoState, rows: int) -> Difference | None:
    """How the video went, and how many rows it has."""
    then, now = _state(stored), _state(came)
    if then != now:
        return Difference("state", then, now)
    return None if stored.rows == rows else Difference("number of rows", str(stored.rows), str(rows))


def _state(state: VideoState) -> str:
    """Messages of failures name places, which may have changed."""
    if state.failure is None:
        return state.state
    return f"failed ({state.failure.stage}: {state.failure.error_type})"

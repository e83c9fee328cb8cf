"""What failed in a store, one entry for each video and cause, and what helps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from extract.errors import command, some
from pipeline.storage.parquet import open_parquet
from pipeline.store.layout import Store


@dataclass(frozen=True)
class FailedVideo:
    """A video, the experts that failed for one cause, and the cause."""

    video_id: str
    experts: tuple[str, ...]
    stage: str
    error_type: str
    message: str


def failed_videos(store: Store) -> list[FailedVideo]:
    """What ``failures.parquet`` records, by video; what only follows from another failure is left out."""
    try:
        with open_parquet(store.root / "failures.parquet") as file:
            rows = file.read().to_pylist()
    except FileNotFoundError:
        return []
    experts: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for row in rows:
        cause = (row["video_id"], row["stage"], row["error_type"], row["message"])
        experts[cause].append(row["expert"])
    causes = {video_id for video_id, stage, *_ in experts if stage != "upstream"}
    return [
        FailedVideo(video_id, tuple(names), stage, error_type, message)
        for (video_id, stage, error_type, message), names in experts.items()
        if stage != "upstream" or video_id not in causes
    ]


def remedies(store: Store, failed: Sequence[FailedVideo]) -> list[str]:
    """What helps against these, a line for each kind."""
    kinds: dict[str, dict[str, None]] = defaultdict(dict)
    for one in failed:
        kinds[_remedy(one)][one.video_id] = None
    again = command("extract", "--out", store.root, "--retry-failed")
    lines = []
    for text, ids in kinds.items():
        line = f"to fix {some(list(ids))}: {text}, then {again}"
        if text == _REPLACE:
            given_up = next(iter(ids)) if len(ids) == 1 else "ID..."
            line += f"; or give it up: {command('remove', store.root, given_up)}"
        lines.append(line)
    return lines


_REPLACE = "replace the file"


def _remedy(failed: FailedVideo) -> str:
    if failed.stage in ("open", "decode"):
        return _REPLACE
    if failed.error_type == "OutOfDeviceMemory":
        return "it is too large for the device's memory: add --device cpu"
    if failed.stage == "worker":
        return "its workers died, perhaps for want of memory: use fewer --workers or --decoders"
    if failed.stage == "fetch":
        return "it could not be fetched: check the storage"
    return f"see whether {command('doctor')} finds anything"

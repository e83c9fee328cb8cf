"""The run that flags and a TOML file ask for; flags win."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from extract.errors import UsageError, command, unknown
from extract.options import convert, field_types
from extract.registry import expert_names, with_upstream
from pipeline.cli.remembered import remembered
from pipeline.settings import checked_folder, choose, parse_assignments
from pipeline.storage.location import Location, location
from pipeline.work.config import Cluster, RunConfig

# What --config may hold: fields of the two dataclasses, and what only the command line has.
_FIELDS = {**field_types(RunConfig), **field_types(Cluster)}
_SAME = (
    "options", "weights", "device", "precision", "dtype", "decode", "shard_size", "retry_failed", "new_root",
    "replace_changed", "batch_size", "decoders", "workers", "gpus", "scheduler",
)  # fmt: skip
_TEXTS = (
    "videos",
    "out",
    "preset",
    "detector",
    "keep_flow",
    "worker_lifetime",
    "worker_memory",
    "queue_memory",
    "certificates",
)
TYPES: Mapping[str, Any] = {
    **{name: _FIELDS[name] for name in _SAME},
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(("experts", "set"), tuple[str, ...]),
    "random_weights": _FIELDS["random_seed"],
}


DEFAULT_OUT = "features"


def read_config(path: Path) -> dict[str, Any]:
    """A TOML file with the names of the command line (``batch-size = 16``) and ``[options.EXPERT]``.

    Raises UsageError for a file that cannot be read, unknown names, and values that are not allowed.
    """
    try:
        entries = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror}; give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is not TOML: {error}") from error
    config = {}
    for flag, value in entries.items():
        name = flag.replace("-", "_")
        if name not in TYPES:
            known = sorted(known.replace("_", "-") for known in TYPES)
            raise unknown(f"--config {path} has", flag, known, have="allowed:")
        given = [value] if name in ("experts", "set") and isinstance(value, str) else value
        config[name] = convert(f"--config {path}: {flag}", TYPES[name], given, texts=False)
    return config


def config_of(given: Mapping[str, Any]) -> RunConfig:
    """What was given by the names of flags, as a run; what is left open is as the store remembers it.

    Raises UsageError for what cannot be.
    """
    out = location(given.get("out", DEFAULT_OUT), "--out")
    named = names_in(given.get("experts")) or []
    adding = all(name.startswith("+") for name in named)
    known = remembered(out, choices=adding and given.get("preset") is None)
    remembered_options = known.pop("options", {})
    if named and "experts" in known:
        given = {**given, "experts": (*known["experts"], *(name.removeprefix("+") for name in named))}
    given = {name: value for name, value in known.items() if value is not None} | dict(given)
    flags = parse_assignments(given.get("set", ()))
    if given.get("detector") is not None:
        flags.setdefault("scenes", {})["detector"] = given["detector"]
    keep_flow = given.get("keep_flow")
    if keep_flow is not None:
        flags.setdefault("flow", {})["keep_flow"] = _folder_for_flow(keep_flow)
    experts, options = choose(
        preset=given.get("preset"),
        experts=names_in(given.get("experts")),
        layers=[remembered_options, given.get("options", {}), flags],
    )
    if keep_flow is not None and "flow" not in with_upstream(experts):
        raise UsageError("--keep-flow needs the expert flow: add it to --experts")
    memory = given.get("queue_memory")
    fields = {name: given[name] for name in _SAME if name in given and name in field_types(RunConfig)}
    return RunConfig(
        **fields | {"experts": experts, "options": options},
        videos=_videos(given.get("videos"), out, known.get("videos")),
        out=out,
        random_seed=given.get("random_weights"),
        queue_memory_bytes=None if memory is None else parse_bytes(memory, "--queue-memory"),
        cluster=_cluster(given),
    )


def names_in(given: str | tuple[str, ...] | None) -> list[str] | None:
    """Names of experts, comma-separated or each by itself. Raises UsageError where there are none."""
    if given is None:
        return None
    texts = [given] if isinstance(given, str) else given
    names = [name.strip() for text in texts for name in text.split(",")]
    if not any(names):
        raise UsageError(f"--experts {given!r} is empty; there are {', '.join(expert_names())}")
    return [name for name in names if name]


def names_of_videos(given: Sequence[str], file: Path | None) -> list[str]:
    """Those given, and those of a file, one a line. Raises UsageError where there are none."""
    try:
        lines = [] if file is None else file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--ids-from {str(file)!r} cannot be read ({error}): give a UTF-8 text file"
        ) from error
    names = [*given, *(line.strip() for line in lines if line.strip())]
    if not names:
        raise UsageError("no video was named: give their video_id, or --ids-from FILE")
    return names


def _folder_for_flow(text: str) -> str:
    """The folder for pictures of flow, the same wherever a worker runs."""
    folder = location(text, "--keep-flow")
    if not isinstance(folder, Path) or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"--keep-flow {text!r} is not a folder: give a new or existing one on a local disk")
    return str(folder.resolve())


def _videos(text: str | None, out: Location, known: str | None) -> Location:
    """What was given, or else is ``known`` of the store. Raises UsageError where it is not there."""
    if text is None:
        raise UsageError(
            f"--videos is missing: give --videos PATH, or put it into --config; {str(out)!r} holds no store "
            "that could be continued without"
        )
    videos = location(text, "--videos")
    if text == known and isinstance(videos, Path) and not os.path.lexists(videos):
        moved = command("extract", "--videos", "FOLDER", "--out", out, "--new-root")
        raise UsageError(f"store {str(out)!r}: its videos are no longer at {text!r}; if they moved: {moved}")
    return checked_folder(videos, "--videos") if isinstance(videos, Path) else videos


def _cluster(given: Mapping[str, Any]) -> Cluster:
    lifetime, memory = given.get("worker_lifetime"), given.get("worker_memory")
    named = {name: given[name] for name in ("workers", "gpus", "scheduler") if name in given}
    if not named and os.environ.get("MARQUEE_SCHEDULER"):
        named = {"scheduler": os.environ["MARQUEE_SCHEDULER"]}
    certificates = given.get("certificates")
    if certificates is None and str(named.get("scheduler")).startswith("tls://"):
        certificates = os.environ.get("MARQUEE_CERTIFICATES") or None
    return Cluster(
        **named,
        certificates=certificates,
        worker_lifetime_seconds=None if lifetime is None else parse_seconds(lifetime, "--worker-lifetime"),
        worker_memory_bytes=None if memory is None else parse_bytes(memory, "--worker-memory"),
    )


def parse_seconds(text: str, flag: str) -> float:
    """``"90m"`` as 5400.0; ``s``, ``m``, ``h`` or nothing (seconds) may follow the number."""
    return _amount(text, flag, {"": 1, "s": 1, "m": 60, "h": 3600}, "a time such as 90m or 2h")


def parse_bytes(text: str, flag: str) -> int:
    """``"8G"`` as 8 * 2**30; ``K``, ``M``, ``G``, ``T`` (with ``B`` or ``iB`` behind or not), or nothing."""
    units = {unit: 1 << (10 * power) for power, unit in enumerate(("", "k", "m", "g", "t"))}
    units |= {
        unit + more: size for unit, size in units.items() for more in ("b", "ib") if unit or more == "b"
    }
    return int(_amount(text, flag, units, "a size such as 8G or 900M"))


def _amount(text: str, flag: str, units: Mapping[str, int], wanted: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in units or not float(match[1]):
        raise UsageError(f"{flag} is {text!r}; {wanted} is needed")
    return float(match[1]) * units[match[2]]

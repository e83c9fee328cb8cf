"""What to run, from three places: a preset, a TOML file, the command line; later ones win."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extract.errors import UsageError
from extract.presets import Options, list_presets, merged, parse_set, read_preset
from extract.registry import expert_names, with_upstream

PRESETS = Path(__file__).parent / "presets"
DEFAULT_PRESET = "all"

_TEXT, _NUMBER, _SWITCH = "a text", "a whole number", "true or false"
_TEXTS, _TABLES = "a text or a list of texts", "tables, as in [options.scenes]"
NAMES: Mapping[str, str] = {
    **dict.fromkeys(("videos", "out", "preset", "detector", "device", "precision", "dtype"), _TEXT),
    **dict.fromkeys(("keep_flow", "gpus", "scheduler", "worker_lifetime", "worker_memory"), _TEXT),
    **dict.fromkeys(("batch_size", "shard_size", "decoders", "random_weights", "workers"), _NUMBER),
    "weights": _TEXT, "experts": _TEXTS, "set": _TEXTS, "retry_failed": _SWITCH, "options": _TABLES,
}  # fmt: skip


@dataclass(frozen=True)
class Preset:
    name: str
    summary: str
    experts: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def preset_names() -> list[str]:
    return list_presets(PRESETS)


def load_preset(name: str) -> Preset:
    """A preset by name. Raises UsageError with the names that there are."""
    entry = read_preset(PRESETS, name)
    experts = expert_names() if entry["experts"] == "all" else entry["experts"]
    return Preset(name, entry["summary"], tuple(experts), entry.get("options", {}))


def read_config(path: Path) -> dict[str, Any]:
    """A TOML file with the names of the command line (``batch-size = 16``) and ``[options.EXPERT]``.

    Raises UsageError for a file that cannot be read, unknown names, and values of another kind.
    """
    try:
        entries = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror}; give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is not TOML: {error}") from error
    config = {name.replace("-", "_"): value for name, value in entries.items()}
    for name, value in config.items():
        flag = name.replace("_", "-")
        if name not in NAMES:
            names = ", ".join(sorted(n.replace("_", "-") for n in NAMES))
            raise UsageError(f"--config {path} has {flag!r}; allowed: {names}")
        if not _is(value, NAMES[name]):
            raise UsageError(f"--config {path} has {flag} = {value!r}; {NAMES[name]} is needed")
    return config


def _is(value: Any, kind: str) -> bool:
    match value:
        case bool():
            return kind is _SWITCH
        case int():
            return kind is _NUMBER
        case str():
            return kind in (_TEXT, _TEXTS)
        case list():
            return kind is _TEXTS and all(isinstance(entry, str) for entry in value)
        case dict():
            return kind is _TABLES and all(isinstance(entry, dict) for entry in value.values())
    return False


def parse_assignments(assignments: Sequence[str]) -> Options:
    """``--set EXPERT.OPTION=VALUE`` by expert. Raises UsageError for another form."""
    return parse_set(assignments, "scenes.threshold=0.4")


def choose(
    *,
    preset: str | None,
    experts: Sequence[str] | None,
    layers: Iterable[Mapping[str, Mapping[str, Any]]],
) -> tuple[tuple[str, ...], Options]:
    """The experts to run and their options: the preset's, then each layer over it.

    Named experts without a preset run with their defaults; with one, they are a part of it.
    """
    chosen = load_preset(preset or DEFAULT_PRESET) if preset or not experts else None
    names = tuple(experts) if experts else chosen.experts if chosen else ()
    active = set(with_upstream(names))
    preset_options = chosen.options if chosen else {}
    kept = {name: values for name, values in preset_options.items() if name in active}
    return names, merged([kept, *layers])


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


def checked_folder(path: Path | None, flag: str) -> Path:
    """The folder or file that a flag names. Raises UsageError if it was not given or is not there."""
    if path is None:
        raise UsageError(f"{flag} is missing: give {flag} PATH, or put it into --config")
    if not os.path.lexists(path):
        raise UsageError(f"{flag} {path}: no such file or folder; give one that exists")
    return path

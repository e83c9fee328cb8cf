"""What is said of weights that are missing: what can run now, and how to get the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console

from extract.errors import PROGRAM, command, count
from extract.registry import expert_class, with_upstream
from extract.terminal import print_line
from extract.weights.files import MissingWeights, WeightFile, size_text


def print_missing(
    error: MissingWeights, experts: Sequence[str], given: Mapping[str, Any], console: Console
) -> None:
    """Two lines; ``experts`` were asked for, by flags (and a file) that say ``given``."""
    runnable = without_missing(error, experts)
    if runnable:
        part = command("extract", *_asked("--experts"), "--experts", ",".join(runnable))
        now = f"{', '.join(runnable)} can run now: {part}"
    else:
        now = f"{command('extract', *_asked('--experts', '--preset'), '--preset', 'offline')} needs none"
    console.print(f"error: weights are missing; {now}", style="red", markup=False, soft_wrap=True)
    rest = command("weights", *weights_flags(given))
    print_line(
        console,
        f"the rest needs {missing_text(error)}: {rest} --fetch downloads them; without --fetch it lists "
        f"addresses and places ({error.rows[0].reason})",
    )


def without_missing(error: MissingWeights, experts: Sequence[str]) -> list[str]:
    """The experts whose weights, and those of what they read from, are here."""
    blocked = {row.expert for row in error.rows}
    names = with_upstream(experts)
    for name in names:  # upstream first
        if blocked & set(expert_class(name).upstream):
            blocked.add(name)
    return [name for name in names if name not in blocked]


def missing_text(error: MissingWeights) -> str:
    """How many files, and their size: "17 files, 4.6 GB"."""
    files = {row.file for row in error.rows}
    return f"{count(len(files), 'file')}, {whole_size(files)}"


def whole_size(files: Iterable[WeightFile]) -> str:
    """Of all together: "4.6 GB"; sizes that are not published are told as missing from the sum."""
    sizes = [file.size_bytes for file in files]
    known = sum(size for size in sizes if size is not None)
    if not known:
        return size_text(None)
    least = "at least " if None in sizes else ""
    return f"{least}{known / 1e9:.1f} GB" if known >= 1e9 else f"{least}{size_text(known)}"


def weights_flags(given: Mapping[str, Any]) -> list[str]:
    """What ``weights`` has to be given to look at the same experts and options."""
    flags = []
    for name in ("preset", "experts", "weights"):
        value = given.get(name)
        if value is not None:
            flags += [f"--{name}", value if isinstance(value, str) else _joined(value)]
    assignments = list(given.get("set") or ())
    for expert, values in (given.get("options") or {}).items():
        assignments += [f"{expert}.{name}={value}" for name, value in values.items()]
    return flags + [word for text in assignments for word in ("--set", text)]


def _joined(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple | list) else str(value)


def _asked(*without: str) -> list[str]:
    """What this process was asked, without these flags: the command line as it was typed."""
    words = sys.argv[1:]
    if words[:1] == ["extract"] and sys.argv[0].endswith(PROGRAM):
        words = words[1:]
    kept, skip = [], False
    for word in words:
        if not skip and word not in (*without, "--dry-run"):
            kept.append(word)
        skip = word in without
    return kept

"""One exception type for each failure that a caller treats differently, and what messages have in common."""

from __future__ import annotations

import difflib
import math
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import PurePath

DISTRIBUTION = "marquee-video"  # on the package index, where `marquee` is another project
PROGRAM = "marquee"  # the console script
SHOWN = 5  # names of a long list in a message


class MarqueeError(Exception):
    """Root of the errors that are the user's business: one clear line, no traceback."""


class UsageError(MarqueeError):
    """An argument, option or configuration that cannot be used."""


class ExpertError(MarqueeError):
    """An expert file that declares what cannot work; its author's to fix."""


class MediaError(MarqueeError):
    """A file that cannot be opened or decoded; costs this file only."""


class MediaChanged(MediaError):
    """A file that was written to, or vanished, while it was read; costs this file only."""


class DecoderCrash(MediaError):
    """The decoder process died or hung on a file; costs this file only."""


class WeightsError(MarqueeError):
    """A checkpoint that is missing, damaged, tampered with, or of another network."""


class OutOfDeviceMemory(MarqueeError):
    """An item that does not fit into the device's memory, not even alone; costs its video's expert."""


class DeviceFault(MarqueeError):
    """This process can use its device no more, another one can; ends the worker and costs no video."""


class DeviceUnusable(MarqueeError):
    """No process can use the device; ends the run, or of several workers this one."""


class MissingDependency(MarqueeError):
    """An optional package that an expert needs is not installed."""


class StoreError(MarqueeError):
    """The feature store cannot be used: locked, read-only, or not a store."""


def to_install(*extras: str) -> str:
    """The command that installs extras of this project."""
    pip = os.path.join(os.path.dirname(sys.executable), "pip")
    return (
        f"{typed('pip', pip) if os.path.exists(pip) else 'pip'} install '{DISTRIBUTION}[{','.join(extras)}]'"
    )


def command(name: str, *arguments: object) -> str:
    """A command of this project, to be copied: called as this process was, so that it is found again.

    A last argument that only looks like a flag, as the name of a file may, is set apart by ``--``.
    """
    words = [*map(str, arguments)]
    if words and re.match(r"-[^-]", words[-1]):
        words.insert(-1, "--")
    module = [name] if name in ("extract", "train") else ["extract", name]
    script = _script()
    called = [script, name] if script else [*_starting(module[0]), *module[1:]]
    return shlex.join([*called, *words])


def again(*added: object, without: str | None = None) -> str:
    """The command that runs now, to be copied, with arguments added or without one of its flags."""
    script, file = _script(), PurePath(sys.argv[0])
    module = file.parent.name if file.stem == "__main__" else file.stem
    called = [script] if script else _starting(module)
    kept = [argument for argument in sys.argv[1:] if argument != without]
    end = kept.index("--") if "--" in kept else len(kept)  # flags have to come before
    return shlex.join([*called, *kept[:end], *map(str, added), *kept[end:]])


def _script() -> str | None:
    """This project's script as a shell finds it; None where a package runs instead."""
    file = sys.argv[0] if sys.argv else ""
    return typed(PROGRAM, file) if PurePath(file).stem == PROGRAM else None


def _starting(package: str) -> list[str]:
    """What runs a package: this Python, or in a container what the user types outside (compose.yaml)."""
    outside = os.environ.get("MARQUEE_LAUNCHER")
    return [*shlex.split(outside), package] if outside else [typed("python", sys.executable), "-m", package]


def typed(name: str, file: str) -> str:
    """What a shell is given to run ``file``: its ``name`` where that finds it, else its path.

    Below the current folder the path is relative.
    """
    folder = os.path.dirname(file)
    found = shutil.which(name)
    if not folder or (found is not None and os.path.dirname(found) == os.path.abspath(folder)):
        return name
    near = os.path.relpath(file)
    return near if os.sep in near and not near.startswith(os.pardir) else os.path.abspath(file)


def clean(text: str) -> str:
    r"""Any Python string as one that UTF-8 can hold; undecodable bytes of names as ``\xNN``."""
    text = re.sub("[\udc80-\udcff]", lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)
    return text.encode("utf-8", "backslashreplace").decode()


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 video", "2 videos"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def clock(seconds: float, digits: int = 0) -> str:
    """``75`` as ``1:15``, with digits ``1:15.0``; ``?`` for what is no time."""
    if not math.isfinite(seconds):
        return "?"
    rounded = round(seconds, digits)
    minutes = int(rounded // 60)
    rest = f"{rounded - 60 * minutes:0{digits + 3 if digits else 2}.{digits}f}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest}" if minutes >= 60 else f"{minutes}:{rest}"


def unknown(
    what: str, name: object, known: Iterable[str], *, have: str = "there are", also: Iterable[str] = ()
) -> UsageError:
    """The error for a name that is not known: all that are, and the one that was probably meant.

    ``what`` goes before the name: "no expert 'spectrogam'; there are ...; did you mean 'spectrogram'?"
    ``also``: names that are understood too, and not listed.
    """
    names = list(known)
    near = did_you_mean(name, [*names, *also])
    return UsageError(f"{what} {name!r}; {have} {', '.join(names) or 'none'}{near}")


def not_allowed(where: str, value: object, allowed: Iterable[object]) -> UsageError:
    """The error for a value that is none of a few: those, and the one that was probably meant."""
    choices = [str(one) for one in allowed]
    return UsageError(f"{where} is {value!r}; allowed: {', '.join(choices)}{did_you_mean(value, choices)}")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name; empty where none that is known resembles it."""
    by_letters = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(str(name).casefold(), by_letters, n=1)
    return f"; did you mean {by_letters[near[0]]!r}?" if near else ""


def some(names: Sequence[str]) -> str:
    """The first few of many names, quoted, for a message."""
    return ", ".join(repr(name) for name in names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")

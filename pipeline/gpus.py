"""The GPUs of this machine, by the names that CUDA_VISIBLE_DEVICES takes, and those that a run was given.

A GPU that is cut into instances (MIG) cannot be used whole: its instances stand for it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence

from extract.errors import UsageError

TOOL = "nvidia-smi"  # comes with the driver
_LISTED = re.compile(r"^\s*(?P<kind>GPU|MIG)\b.*\(UUID: (?P<uuid>[^)]+)\)")


class NoDriver(UsageError):
    """No NVIDIA driver answers on this machine."""


def gpus_here() -> list[list[str]]:
    """For each GPU that this process may use what CUDA_VISIBLE_DEVICES calls it, or its instances.

    Asks the driver and starts no CUDA. CUDA_VISIBLE_DEVICES counts, as batch systems set it. Raises NoDriver.
    """
    try:
        done = subprocess.run([TOOL, "-L"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stdout", None) or getattr(error, "strerror", None) or str(error)
        reason = said.strip().partition("\n")[0]
        raise NoDriver(
            f"no NVIDIA driver responds here ({TOOL}: {reason}): install it, or leave --gpus out"
        ) from error
    gpus: list[tuple[str, list[str]]] = []
    for line in done.stdout.splitlines():
        match = _LISTED.match(line)
        if match is not None and match["kind"] == "GPU":
            gpus.append((match["uuid"], []))
        elif match is not None and gpus:
            gpus[-1][1].append(match["uuid"])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [instances or [uuid] for uuid, instances in gpus]
    found: list[list[str]] = []
    for name in filter(None, (part.strip() for part in visible.split(","))):
        if name.isdigit():
            uuid, instances = gpus[int(name)] if int(name) < len(gpus) else ("", [])
            found += [instances or [uuid]] if uuid else []
        elif name.startswith(("GPU-", "MIG-")):
            found.append([name])
        else:  # such as -1: CUDA reads no further
            break
    return found


def chosen_gpus(text: str) -> list[str]:
    """What ``--gpus`` asks for: ``all``, or numbers, ranges and identifiers, as in ``0,2-3,MIG-...``.

    Numbers count the GPUs that this process may use, from 0; a GPU's identifier may be cut short, as CUDA
    allows. Raises UsageError, NoDriver among them, for what is not here, or is named twice.
    """
    here = gpus_here()
    names = [name for gpu in here for name in gpu]
    if not names:
        raise UsageError(f"--gpus {text}: the driver reports no GPU here; leave --gpus out")
    if text == "all":
        return names
    chosen: list[str] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            numbers = range(int(first), int(last or first) + 1)
            if not numbers or numbers[-1] >= len(here):
                raise UsageError(f"--gpus {text}: {part} is not there; there are 0 to {len(here) - 1}")
            chosen += [name for number in numbers for name in here[number]]
        else:
            chosen.append(_identified(text, part, names))
    twice = next((name for i, name in enumerate(chosen) if name in chosen[:i]), None)
    if twice is not None:
        raise UsageError(f"--gpus {text} names {twice} twice: name each once")
    return chosen


def _identified(text: str, part: str, names: Sequence[str]) -> str:
    """The one that ``part`` is the beginning of, or an instance's older name (MIG-GPU-.../1/0)."""
    if part.startswith("MIG-GPU-"):
        return part
    found = [name for name in names if name.startswith(part)]
    if len(found) == 1:
        return found[0]
    raise UsageError(
        f"--gpus {text}: {part} {'names several' if found else 'is not there'}; there are {', '.join(names)}"
    )


def gpu_of(device: str) -> str:
    """What the GPU of a torch device is called in CUDA_VISIBLE_DEVICES, else its number; empty for a CPU."""
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return ""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    at = int(number or 0)
    return visible[at] if at < len(visible) and visible[at] else str(at)


def share_of(amount: int, sharers: int) -> int:
    """One worker's part of what ``sharers`` of them have together: whole, and not less than one."""
    return max(1, amount // max(1, sharers))

"""File names as text, and the ``video_id`` that each input gets once and for all."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from extract.errors import UsageError

_NAME_BYTES = 150  # of the 255 that file systems allow
_DEVICE = re.compile(
    r"^(con|prn|aux|nul|(?:com|lpt)[0-9¹²³])(?=\.|$)", re.IGNORECASE
)  # names of Windows' own


def display(raw: bytes) -> str:
    r"""A name as text: UTF-8 where it is, bytes that are not as ``\xNN``."""
    return raw.decode("utf-8", "backslashreplace")


def without_suffix(path: str) -> str:
    """``a/b.c.mp4`` -> ``a/b.c``."""
    return os.path.splitext(path)[0]


def check_suffix(path: Path, *allowed: str, flag: str = "--out") -> None:
    """Raises UsageError for a name that does not say what to write, best before anything is computed."""
    if path.suffix not in allowed:
        known = " or ".join([*([", ".join(allowed[:-1])] if allowed[1:] else []), allowed[-1]])
        raise UsageError(f"{flag} {str(path)!r}: give a name that ends in {known}")


def relative_file(video_id: str, *, dots: bool = True) -> str:
    """A ``video_id`` as a relative path without suffix, in folders as the id has them.

    Every system takes it, and it leads nowhere but down. Where that changes the id, a hash of it is appended,
    so that two ids never become one path. ``dots``: whether names may have some.
    """
    parts = [_portable(part) for part in video_id.split("/")]
    if not dots:
        parts = [part.replace(".", "_") for part in parts]
    path = "/".join(parts)
    return path if path == video_id else f"{path}~{_hash(video_id.encode('utf-8', 'backslashreplace'))}"


def _portable(part: str) -> str:
    """One name that Windows takes as well, with room for a suffix."""
    part = _DEVICE.sub(r"_\1", part)
    part = re.sub(r'[\x00-\x1f\x7f<>:"\\|?*]', "_", part).encode()[:_NAME_BYTES].decode("utf-8", "ignore")
    return part.rstrip(" .") or "_"


def new_ids(new: Iterable[bytes], planned: Mapping[bytes, str]) -> dict[bytes, str]:
    """A ``video_id`` for each new input; ``planned`` are the inputs that have one already.

    The path without suffix; where inputs share that (planned ones count, present or not), the
    path with its suffix; where that is taken too (undecodable bytes beside the same thing spelt
    out), a hash of the name is appended. The choice rests on the set of all inputs, so a run
    that was killed while planning and one that was not give the same ids.
    """
    fresh = [raw for raw in new if raw not in planned]
    wanted = _ids_of_all([*planned, *fresh])
    taken = set(planned.values())
    ids = {}
    for raw in fresh:
        choices = (wanted[raw], *ids_to_choose_from(raw)[1:])
        ids[raw] = next(choice for choice in choices if choice not in taken)
        taken.add(ids[raw])
    return ids


def ids_to_choose_from(raw: bytes) -> tuple[str, str, str]:
    """The ids that an input may have got: the shorter one first."""
    return without_suffix(display(raw)), display(raw), _with_hash(raw)


def _ids_of_all(names: list[bytes]) -> dict[bytes, str]:
    """The ids that all inputs would get if none was planned."""
    ids = {raw: without_suffix(display(raw)) for raw in names}
    for longer in (display, _with_hash):
        # Lengthening one id may make it equal to another's, so go on until nothing changes.
        while True:
            counts = Counter(ids.values())
            shared = [raw for raw, name in ids.items() if counts[name] > 1 and name != longer(raw)]
            if not shared:
                break
            ids.update((raw, longer(raw)) for raw in shared)
    return ids


def _with_hash(raw: bytes) -> str:
    return f"{display(raw)}~{_hash(raw)}"


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:8]

"""What tells an input from another of its name and size; not in ``videos``, since it is of one machine."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from extract.errors import StoreError
from pipeline.storage.location import read_bytes
from pipeline.store.layout import Store


@dataclass(frozen=True, slots=True)
class Seen:
    """How an input looked; None is not known (yet).

    ``stamp`` as :class:`pipeline.storage.scan.Input` has it, ``digest`` of
    :func:`pipeline.storage.content.content_digest`.
    """

    stamp: str | None = None
    digest: str | None = None


def seen_inputs(store: Store, shard: int) -> dict[str, Seen]:
    """What is known of a shard's inputs, by ``video_id``; older stores know nothing. Raises StoreError."""
    path = store.inputs_path(shard)
    try:
        entries = json.loads(read_bytes(path))
        return {video_id: Seen(entry["stamp"], entry["digest"]) for video_id, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{str(path)!r} is damaged ({error}): it records whether inputs have changed; delete it, and the "
            "next run accepts them as they are"
        ) from error


def book_inputs(store: Store, shard: int, seen: Mapping[str, Seen], *, forget: Collection[str] = ()) -> None:
    """Add this to what is known of a shard's inputs, and ``forget`` what is known of others."""
    before = seen_inputs(store, shard)
    known = {name: one for name, one in (before | dict(seen)).items() if one != Seen() and name not in forget}
    if known == before:
        return
    with store.write(store.inputs_path(shard)) as temporary:
        text = json.dumps({name: asdict(one) for name, one in sorted(known.items())}, indent=1)
        temporary.write_text(text + "\n", "utf-8")

"""What counts as done: the one rule by which a part belongs to its table, shard and fingerprint."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from extract.errors import count
from extract.fingerprint import canonical_json, digest
from pipeline.store.footer import Footer, InvalidPart, read_footer
from pipeline.store.layout import PartFile, Store


def valid_footer(part: PartFile, members: Collection[str] | None) -> Footer | None:
    """The footer of a part that reads and has no :func:`faults`, else None: its videos are still to do.

    Raises StoreError for storage that cannot be read, which says nothing about the part.
    """
    try:
        return checked_footer(part, members)
    except InvalidPart:
        return None


def checked_footer(part: PartFile, members: Collection[str] | None) -> Footer:
    """The same for a reader that must not go on without it: raises InvalidPart, which says why."""
    footer = read_footer(part.path)
    for fault in faults(part, footer, members):
        raise InvalidPart(f"part {str(part.path)!r} does not match its name: {fault}")
    return footer


def faults(part: PartFile, footer: Footer, members: Collection[str] | None) -> Iterator[str]:
    """Why a part is not the one that its name says.

    ``members`` are the videos of its shard, none where the shard is not planned. None: nobody knows them, as
    in a store without any plan.
    """
    header = footer.header
    named = (part.table, part.shard, part.fingerprint)
    said = (header.table, header.shard, header.target.fingerprint)
    if named != said:
        yield f"its footer is that of table, shard, fingerprint {said}"
    if digest(canonical_json(header.target.made_of)) != header.target.fingerprint:
        yield "its fingerprint does not follow from what the footer says it was made of"
    strangers = set() if members is None else footer.videos.keys() - set(members)
    if strangers:
        yield f"{count(len(strangers), 'video is', 'videos are')} not of this shard: {min(strangers)!r}"
    if list(footer.videos) != sorted(footer.videos):
        yield "its footer's videos are not sorted"
    for video_id, state in footer.videos.items():
        if (state.state == "ok") != (state.rows > 0):
            yield f"{video_id!r} is {state.state} with {count(state.rows, 'row')}"


def lost_plans(store: Store, planned: Collection[int]) -> dict[int, dict[str, int | None]]:
    """Shards that parts are there of, but no plan: their videos and sizes, as far as footers list them.

    A part that was copied under the name of such a shard says itself that it is another's, and is left out.
    """
    lost: dict[int, dict[str, int | None]] = {}
    parts = [part for table in store.tables() for part in store.parts(table) if part.shard not in planned]
    for part in parts:
        footer = valid_footer(part, None)
        if footer is not None:
            sizes = {name: state.size_bytes for name, state in footer.videos.items()}
            lost.setdefault(part.shard, {}).update(sizes)
    return dict(sorted(lost.items()))

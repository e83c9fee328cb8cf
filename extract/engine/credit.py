"""How many bytes of items may be in flight between the decoders and the models of a lane."""

from __future__ import annotations

import threading
from collections.abc import Callable

from extract.engine.batches import LaneName
from extract.engine.models import items_at_once
from extract.selection import Selection
from extract.types import Item

BATCHES = 4  # of every expert: one is computed, one is next, and while these come back two more fill


def item_bytes(item: Item) -> int:
    """What an item counts for: its arrays, and a little for what is around them."""
    return 200 + sum(array.nbytes for array in item.arrays.values())


class Credit:
    """Room for the items of a lane: :data:`BATCHES` whole batches of each expert that has brought one.

    An expert's batch counts as its ``batch_items`` times its largest item so far, so the room grows with what
    comes, up to ``most_bytes``. As long as that is not reached, some batch is full before the room is
    used up. An item that is larger than all of the room passes when nothing else is in flight.
    """

    def __init__(self, batch_items: Callable[[str], int], most_bytes: int) -> None:
        self._batch_items, self.most_bytes = batch_items, most_bytes
        self._batches: dict[str, int] = {}  # bytes of one of each expert
        self._changed = threading.Condition()
        self._waiting: dict[object, int] = {}  # bytes that are asked for, by who asks
        self.used = 0

    @property
    def waiting(self) -> int:
        """How many decoders wait for room that is not there. Any thread may ask."""
        with self._changed:
            return sum(not self._fits(size) for size in self._waiting.values())

    @property
    def limit(self) -> int:
        """Bytes that may be in flight just now."""
        return min(self.most_bytes, BATCHES * sum(self._batches.values()))

    def has_room(self, asker: object, expert: str, item: Item) -> bool:
        """Whether an item fits; where it does not, its asker waits until it is told otherwise."""
        with self._changed:
            size = item_bytes(item)
            self._batches[expert] = max(self._batch_items(expert) * size, self._batches.get(expert, 0))
            self._waiting[asker] = size
            if self._fits(size):
                del self._waiting[asker]
            return asker not in self._waiting

    def take(self, asker: object, expert: str, item: Item) -> None:
        """Take room for an item, as soon as there is some."""
        with self._changed:
            self._changed.wait_for(lambda: self.has_room(asker, expert, item))
            self.used += item_bytes(item)

    def give(self, item: Item) -> None:
        """Give an item's room back."""
        with self._changed:
            self.used -= item_bytes(item)
            self._changed.notify_all()

    def _fits(self, size: int) -> bool:
        return self.used == 0 or self.used + size <= self.limit


def lane_credits(
    selection: Selection, batch_size: int, host_threads: int, queue_bytes: int
) -> dict[LaneName, Credit]:
    """Each lane's own: frames that wait for the host's cores take no room from the device's items."""

    def in_a_batch(expert: str) -> int:
        return items_at_once(selection.experts[expert], batch_size, selection.device)

    host_bytes = queue_bytes // 4
    return {
        "device": Credit(in_a_batch, queue_bytes - host_bytes),
        "host": Credit(lambda expert: max(batch_size, host_threads), host_bytes),
    }

"""Room for items: how it grows, and who waits for it."""

from __future__ import annotations

import threading

import numpy as np

from extract.engine.credit import BATCHES, Credit, item_bytes
from extract.types import Item


def item(size: int) -> Item:
    return Item(0.0, 1.0, {"values": np.zeros(size, np.uint8)})


LARGE, SMALL = item(10_000), item(100)


def fill(credit: Credit, expert: str, one: Item) -> int:
    """How many such items find room."""
    count = 0
    while credit.has_room("decoder", expert, one):
        credit.take("decoder", expert, one)
        count += 1
    return count


def test_there_is_room_for_whole_batches_of_every_expert() -> None:
    credit = Credit(lambda expert: 8, most_bytes=1 << 30)
    assert fill(credit, "i3d", LARGE) == BATCHES * 8
    assert credit.waiting == 1
    assert fill(credit, "clip", SMALL) == BATCHES * 8
    assert credit.used == credit.limit == BATCHES * 8 * (item_bytes(LARGE) + item_bytes(SMALL))


def test_room_is_sized_by_the_largest_item_so_far() -> None:
    credit = Credit(lambda expert: 1, most_bytes=1 << 30)
    credit.take("decoder", "i3d", SMALL)
    credit.take("decoder", "i3d", LARGE)
    credit.take("decoder", "i3d", SMALL)
    assert credit.limit == BATCHES * item_bytes(LARGE)


def test_room_ends_at_the_bound_and_one_item_passes_whatever_its_size() -> None:
    credit = Credit(lambda expert: 8, most_bytes=3 * item_bytes(LARGE))
    assert fill(credit, "i3d", LARGE) == 3
    tiny = Credit(lambda expert: 8, most_bytes=1)
    assert fill(tiny, "i3d", LARGE) == 1
    tiny.give(LARGE)
    assert tiny.used == 0
    assert fill(tiny, "clip", SMALL) == 1


def test_who_waits_is_served_and_no_longer_counted() -> None:
    credit = Credit(lambda expert: 1, most_bytes=1)
    credit.take("first", "i3d", LARGE)
    thread = threading.Thread(target=credit.take, args=("second", "i3d", SMALL))
    thread.start()
    while not credit.waiting:
        pass
    credit.give(LARGE)
    assert credit.waiting == 0  # there is room, whether the thread has run since or not
    thread.join()
    assert credit.used == item_bytes(SMALL)

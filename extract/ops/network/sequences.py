"""Sequences of many lengths in a few batches: padded, and masked by whoever computes them."""

from __future__ import annotations

from collections.abc import Sequence

SHORTEST = 16  # tokens; shorter ones cost a network as much
# A call costs as much as so many tokens more in another one: about 100 launches of 5 us each, where a token
# of DistilBERT is 85e6 operations and the card does 50e12 a second.
CALL_TOKENS = 256


def buckets(lengths: Sequence[int], *, device: str) -> list[tuple[int, list[int]]]:
    """Lengths to pad to, each with the places of its sequences; the shortest first.

    They are powers of two, from 16. On a CPU a sequence's own length alone decides, so that a network sees
    the same shape, and gives the same bits, whatever is beside it. On an accelerator a bucket joins the next
    one where padding costs less than a call.
    """
    members: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        members.setdefault(max(SHORTEST, 1 << (length - 1).bit_length()), []).append(place)
    found: list[tuple[int, list[int]]] = []
    for length, places in sorted(members.items()):
        if found and device != "cpu" and len(found[-1][1]) * (length - found[-1][0]) <= CALL_TOKENS:
            found[-1] = length, found[-1][1] + places
        else:
            found.append((length, places))
    return found

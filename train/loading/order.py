"""The order of samples, and the blocks in which they are read.

Blocks are what is in memory at a time. In training shards come in random order, whole ones fill a block,
and samples are shuffled within it; for evaluation the order is that of the ids. Both are pure functions of
what they are given, so threads, processes and interruptions do not change them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Order = NDArray[np.int64]  # numbers of samples


def training_order(
    shards: NDArray[np.int64], sizes: NDArray[np.int64], *, block_bytes: int, seed: int, epoch: int
) -> list[Order]:
    """Blocks of sample numbers; ``shards`` and ``sizes`` are each sample's shard and bytes.

    A shard that is larger than a block is read in pieces.
    """
    random = np.random.default_rng((seed, epoch))
    if not len(shards):
        return []
    by_shard = np.argsort(shards, kind="stable")
    whole = np.split(by_shard, np.flatnonzero(np.diff(shards[by_shard])) + 1)
    pieces = [piece for shard in whole for piece in _packed(shard, sizes, block_bytes)]
    shuffled = [pieces[i] for i in random.permutation(len(pieces))]
    totals = np.array([sizes[piece].sum() for piece in shuffled])
    blocks = _packed(np.arange(len(shuffled)), totals, block_bytes)
    return [random.permutation(np.concatenate([shuffled[i] for i in block])) for block in blocks]


def evaluation_order(sizes: NDArray[np.int64], *, block_bytes: int) -> list[Order]:
    """Blocks of the sample numbers as they are."""
    return list(_packed(np.arange(len(sizes)), sizes, block_bytes))


def cut(blocks: Sequence[Order], start: int, stop: int) -> list[Order]:
    """The samples from ``start`` to ``stop`` of the order, in the blocks that they lie in."""
    pieces = []
    first = 0
    for block in blocks:
        piece = block[max(start - first, 0) : max(stop - first, 0)]
        if len(piece):
            pieces.append(piece)
        first += len(block)
    return pieces


def share(blocks: Sequence[Order], *, rank: int, ranks: int, even: bool) -> list[Order]:
    """The consecutive part of the order that one of several processes works on.

    With ``even`` all get equally many: the last ones begin again at the front, as training needs it.
    Otherwise every sample comes once.
    """
    total = sum(map(len, blocks))
    each = -(-total // ranks)
    start = rank * each
    if not even:
        return cut(blocks, start, min(start + each, total))
    return cut([*blocks] * (2 + ranks // max(total, 1)), start, start + each)


def _packed(items: Order, sizes: NDArray[np.int64], most: int) -> Iterator[Order]:
    """Consecutive items in runs of at most ``most`` bytes, or of one item."""
    start = total = 0
    for i, size in enumerate(sizes[items].tolist()):
        if i > start and total + size > most:
            yield items[start:i]
            start, total = i, 0
        total += size
    if len(items):
        yield items[start:]

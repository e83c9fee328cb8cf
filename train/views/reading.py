"""Some of the videos that a run reads, or other steps of them."""

from __future__ import annotations

from collections.abc import Sequence

from train.loading.normalise import Normalised
from train.loading.stream import Loader, Stream


def only(batches: Normalised, ids: Sequence[str], *, stream: Stream | None = None) -> Normalised:
    """The batches of these videos; ``stream``: read in another way."""
    loader = batches.loader
    chosen = Loader(loader.samples.features, ids, stream=stream or loader.stream)
    return Normalised(chosen, batches.normaliser)

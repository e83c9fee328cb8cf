"""How an engine runs."""

from __future__ import annotations

from dataclasses import dataclass

from extract.decoder.owner import STALL_SECONDS
from extract.options import Checked, Positive, Seconds


@dataclass(frozen=True)
class EngineSettings(Checked):
    """How to run; nothing here changes a row.

    ``queue_bytes`` is the most that items between decoders and models may take, of which a quarter is for
    those of the host lane; what of it is used follows from the batches (:mod:`extract.engine.credit`).
    """

    decoders: Positive = 2
    decoder_threads: Positive = 1
    batch_size: Positive = 16
    host_threads: Positive = 1
    queue_bytes: Positive = 1 << 30
    keyframe_buffer_bytes: Positive = 512 << 20
    stall_seconds: Seconds = STALL_SECONDS
    videos_in_flight: Positive = 32

"""The decoder processes of an engine: which are idle, and which is at which video."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from extract.decoder import messages
from extract.engine.ledger import VideoLedger
from extract.engine.machine import Machine, VideoDecoder
from extract.engine.settings import EngineSettings
from extract.selection import Selection
from extract.types import Scene


class Decoders:
    """Started when a video finds none idle. ``deliver`` is called with each message, in other threads."""

    def __init__(
        self,
        selection: Selection,
        settings: EngineSettings,
        machine: Machine,
        deliver: Callable[[VideoDecoder, messages.Message], None],
    ) -> None:
        self._selection, self._settings = selection, settings
        self._machine, self._deliver = machine, deliver
        self._started: list[VideoDecoder] = []
        self._idle: deque[VideoDecoder] = deque()
        self._at_work: dict[VideoDecoder, VideoLedger] = {}

    def __len__(self) -> int:
        """How many are at work."""
        return len(self._at_work)

    @property
    def all_at_work(self) -> bool:
        return len(self) >= self._settings.decoders

    def begin(self, ledger: VideoLedger) -> None:
        """Decode a video."""
        decoder = self._idle.popleft() if self._idle else self._start()
        self._at_work[decoder] = ledger
        decoder.submit(self._job(ledger))

    def video_of(self, decoder: VideoDecoder) -> VideoLedger:
        return self._at_work[decoder]

    def is_at(self, decoder: VideoDecoder, ledger: VideoLedger) -> bool:
        """Whether the decoder is still at this video: it may have died meanwhile."""
        return self._at_work.get(decoder) is ledger

    def release(self, decoder: VideoDecoder) -> None:
        del self._at_work[decoder]
        self._idle.append(decoder)

    def close(self) -> None:
        for decoder in self._started:
            decoder.close()

    def _start(self) -> VideoDecoder:
        stall_seconds = self._settings.stall_seconds
        self._started.append(self._machine.decoder(self._deliver, stall_seconds=stall_seconds))
        return self._started[-1]

    def _job(self, ledger: VideoLedger) -> messages.DecodeJob:
        selection = self._selection
        service = selection.shot_service
        scenes: tuple[Scene, ...] | None = None
        if service is not None and (stored := ledger.task.tables.get(service.name)):
            scenes = service.stored_scenes(stored)
        return messages.DecodeJob(
            path=ledger.task.path,
            experts={name: selection.options[name] for name in ledger.to_decode},
            shot_service=None if service is None else service.name,
            shot_options={} if service is None else selection.options[service.name],
            scenes=scenes,
            buffer_bytes=self._settings.keyframe_buffer_bytes,
            threads=self._settings.decoder_threads,
            gpu=selection.decoding_gpu,
        )

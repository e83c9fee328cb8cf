"""One pass over one video: frames, scenes, keyframes and audio to the taps of all experts.

How often a file is decoded rests on two things. Every expert's tap hangs on the same pass, so it
is decoded once, whatever their number. And a scene's middle frame is normally still in the
keyframe buffer when the scene closes; only scenes that outgrow the buffer cost a seek and the
part of a group of pictures up to that frame. ``DecodeCounts`` counts both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from extract.declarations import Expert, FrameSpec, Streams, Tap
from extract.decoder.keyframes import KeyframeBuffer, Timeline
from extract.decoder.messages import DecodeJob, ExpertFailed, ItemReady, MediaOpened, Message
from extract.decoder.samples import SceneSamples
from extract.detectors.base import Detector, Interval, Predictor
from extract.errors import MediaError, count
from extract.media.picture import Picture
from extract.media.probe import probe
from extract.media.seek import PictureKey, SecondLook, fetch
from extract.media.stream import DecodeCounts, Kind, read
from extract.registry import make_expert, make_shot_service
from extract.types import FACTS, FACTS_OF_HEADERS, AudioBlock, Frame, Item, MediaInfo, Scene, Sound

Send = Callable[[Message], None]


def read_video(
    job: DecodeJob, send: Send, predictor: Predictor, on_step: Callable[[], None]
) -> tuple[dict[str, Any], DecodeCounts]:
    """Decode one video for all experts of the job; returns columns of ``videos`` and what it took.

    Items and tap failures go to ``send``; ``on_step`` is called after every frame and audio block.
    Raises MediaError if nothing can be decoded.
    """
    media = probe(job.path)
    send(MediaOpened(media))
    taps = _Taps(job, media, send)
    counts = DecodeCounts()
    measured = _Measured(media, by_gpu=job.gpu is not None)
    if not taps:
        return measured.facts(counts), counts
    scenes_wanted = media.has_video and taps.want_scenes
    detect = scenes_wanted and job.scenes is None
    every_frame = media.has_video and (taps.want_frames or bool(taps.sample_steps))
    pass_video = detect or every_frame
    tracker: _Tracker | None = None
    if scenes_wanted and (pass_video or not job.scenes):
        tracker = _Tracker(job, media, taps, _detector(job, media, predictor), counts)
    if pass_video or taps.sounds:
        for piece in read(
            job.path,
            media=media,
            video=pass_video,
            sounds=taps.sounds,
            counts=counts,
            threads=job.threads,
            gpu=job.gpu,
        ):
            measured.add(piece)
            if isinstance(piece, AudioBlock):
                taps.audio(piece)
            else:
                taps.frame(piece)
                if tracker is not None:
                    tracker.push(piece)
            on_step()
        asked: set[Kind] = {"video"} if pass_video else set()
        asked |= {"audio"} if taps.sounds else set()
        taps.fail_silent(asked - measured.seen, counts.refused)
    if tracker is not None:
        tracker.finish()
    elif scenes_wanted and job.scenes:
        _replay(job, media, taps, counts, on_step)
    taps.close()
    return measured.facts(counts), counts


def _detector(job: DecodeJob, media: MediaInfo, predictor: Predictor) -> Detector:
    """Stored scenes pass as they are; else the shot service detects them."""
    if job.scenes is not None:
        return _KnownScenes(job.scenes)
    if job.shot_service is None:
        raise ValueError("experts that follow shots need a shot_service or stored scenes")
    return make_shot_service(job.shot_service, job.shot_options).make_detector(media, predictor)


def _replay(
    job: DecodeJob, media: MediaInfo, taps: _Taps, counts: DecodeCounts, on_step: Callable[[], None]
) -> None:
    """Scenes that are known already: only the parts that hold a keyframe are decoded."""
    assert job.scenes is not None
    pictures: Iterator[Picture | None] = iter([None] * len(job.scenes))
    if taps.want_keyframes:
        targets = [(s.keyframe, s.keyframe_pts) for s in job.scenes]
        pictures = fetch(job.path, media=media, keyframe_targets=targets, counts=counts, gpu=job.gpu)
    for scene, picture in zip(job.scenes, pictures, strict=True):
        taps.scene(scene, picture)
        on_step()


class _KnownScenes(Detector):
    """Scenes that were stored before, handed out as their frames pass by."""

    def __init__(self, scenes: Iterable[Scene]) -> None:
        self._scenes = deque((s.start_frame, s.end_frame) for s in scenes)
        self._next = 0

    def push(self, picture: Picture) -> list[Interval]:
        self._next = picture.index + 1
        closed = []
        while self._scenes and self._scenes[0][1] <= self._next:
            closed.append(self._scenes.popleft())
        self.open_start = self._scenes[0][0] if self._scenes else self._next
        self.settled = self._scenes[0][1] if self._scenes else self._next
        return closed

    def finish(self) -> list[Interval]:
        return list(self._scenes)


class _Tracker:
    """Follows the detector, keeps what may become a keyframe, and hands closed scenes to the taps."""

    def __init__(
        self, job: DecodeJob, media: MediaInfo, taps: _Taps, detector: Detector, counts: DecodeCounts
    ) -> None:
        self._taps = taps
        self._detector = detector
        self._timeline = Timeline()
        self._buffer = KeyframeBuffer(job.buffer_bytes)
        self._samples = [SceneSamples(step) for step in taps.sample_steps]
        self._second_look = SecondLook(job.path, media=media, counts=counts, gpu=job.gpu)
        self._number = 0

    def push(self, picture: Picture) -> None:
        self._timeline.add(picture)
        if self._taps.want_keyframes:
            held = picture.kept()
            self._buffer.add(held)
            for samples in self._samples:
                samples.add(held)
        self._close(self._detector.push(picture))
        while self._buffer.full:
            settled = self._detector.settled
            self._close(self._detector.wait())
            if self._detector.settled == settled:
                break

    def finish(self) -> None:
        self._close(self._detector.finish())
        self._second_look.close()

    def _close(self, intervals: Iterable[Interval]) -> None:
        for start_frame, end_frame in intervals:
            scene = self._timeline.scene(self._number, start_frame, min(end_frame, self._timeline.stop))
            self._number += 1
            keyframe = self._keyframe(scene) if self._taps.want_keyframes else None
            samples = {s.step_seconds: s.close(scene) for s in self._samples}
            self._taps.samples(scene.index, {step: before for step, (before, _) in samples.items()})
            self._taps.scene(scene, keyframe)
            self._taps.samples(scene.index, {step: after for step, (_, after) in samples.items()})
        detector = self._detector
        self._timeline.forget_before(detector.open_start)
        start = self._open_seconds(detector.open_start)
        settled = self._open_seconds(detector.settled)
        open_until = self._open_seconds(detector.open_until)
        self._buffer.forget_until((start + settled) / 2)  # no middle of the open scene lies before that
        for held in self._samples:
            self._taps.samples(self._number, {held.step_seconds: held.settle(start, open_until)})
        self._taps.settled(start, open_until)

    def _open_seconds(self, frame: int) -> float:
        """When this frame starts, taken into the open scene as far as it is known.

        Not before the open scene: a detector may close a scene at a later cut while it has not settled
        earlier frames. Nor after the last frame seen: of stored scenes start and end are known ahead.
        """
        return self._timeline.start_seconds(min(max(frame, self._detector.open_start), self._timeline.stop))

    def _keyframe(self, scene: Scene) -> Picture:
        """From the buffer, or, where the scene outgrew it, from a second look at the file."""
        picture = self._buffer.find(scene.keyframe)
        if picture is None:
            picture = self._second_look.find(PictureKey(scene.keyframe, scene.keyframe_pts))
        return picture


class _Taps:
    """The taps of one video. One that fails is reported and left out; the others go on."""

    def __init__(self, job: DecodeJob, media: MediaInfo, send: Send) -> None:
        self._send = send
        self._path = media.path
        self._taps: dict[str, Tap] = {}
        self._streams: dict[str, Streams] = {}
        self._follows_scenes: dict[str, bool] = {}
        self._kinds: dict[str, Kind] = {}
        for name, options in job.experts.items():
            expert = make_expert(name, options)
            unreadable = expert.unreadable_stream(media)
            if unreadable is not None:
                self._fail(name, "decode", MediaError.__name__, f"{media.path!r}: {unreadable}")
            elif (kind := expert.stream_of(media)) is not None:
                self._kinds[name] = kind
                self._streams[name] = expert.streams()
                self._follows_scenes[name] = expert.follows_scenes
                self._guard(name, partial(self._add, expert, media))

    def _add(self, expert: Expert, media: MediaInfo) -> Iterable[Item]:
        self._taps[expert.name] = expert.tap(media)
        return ()

    def __bool__(self) -> bool:
        return bool(self._taps)

    def _needs(self) -> list[tuple[str, Streams]]:
        return [(name, self._streams[name]) for name in self._taps]

    @property
    def want_scenes(self) -> bool:
        return any(self._follows_scenes[name] for name in self._taps)

    @property
    def want_keyframes(self) -> bool:
        return any(needs.keyframes for _, needs in self._needs())

    @property
    def want_frames(self) -> bool:
        return any(needs.frames for _, needs in self._needs())

    @property
    def sample_steps(self) -> list[float]:
        return sorted({needs.sample_seconds for _, needs in self._needs() if needs.sample_seconds})

    @property
    def sounds(self) -> list[Sound]:
        return sorted({needs.sound for _, needs in self._needs() if needs.sound is not None})

    def frame(self, picture: Picture) -> None:
        images: dict[FrameSpec, Frame] = {}
        for name, needs in self._needs():
            if needs.frames is not None:
                if needs.frames not in images:
                    images[needs.frames] = _frame(picture, picture.scaled(needs.frames))
                self._guard(name, partial(self._taps[name].frame, images[needs.frames]))

    def audio(self, block: AudioBlock) -> None:
        for name, needs in self._needs():
            if needs.sound == (block.sample_rate, block.downmix):
                self._guard(name, partial(self._taps[name].audio, block))

    def scene(self, scene: Scene, picture: Picture | None) -> None:
        """A closed scene."""
        keyframe = None if picture is None else _frame(picture, picture.rgb())
        for name, needs in self._needs():
            mine = keyframe if needs.keyframes else None
            self._guard(name, partial(self._taps[name].scene, scene, mine))

    def samples(self, scene_index: int, pictures: Mapping[float, Sequence[Picture]]) -> None:
        """Further frames of a scene, which may still be open, by step; converted one at a time."""
        for step, of_step in pictures.items():
            for picture in of_step:
                frame = _frame(picture, picture.rgb())
                for name, needs in self._needs():
                    if needs.sample_seconds == step:
                        self._guard(name, partial(self._taps[name].sample, scene_index, frame))

    def settled(self, open_start_seconds: float, settled_seconds: float) -> None:
        for name, needs in self._needs():
            if needs.frames is not None:
                self._guard(name, partial(self._taps[name].settled, open_start_seconds, settled_seconds))

    def fail_silent(self, silent: Collection[Kind], refused: Mapping[Kind, str]) -> None:
        """Fail the experts whose stream was read and gave nothing, or turned out to be impossible."""
        for name in list(self._taps):
            kind = self._kinds[name]
            if kind in refused or kind in silent:
                why = refused.get(kind, f"no packet of its {kind} could be decoded; re-encode or remove it")
                self._fail(name, "decode", MediaError.__name__, f"{self._path!r}: {why}")

    def close(self) -> None:
        for name in list(self._taps):
            self._guard(name, self._taps[name].close)

    def _guard(self, name: str, hook: Callable[[], Iterable[Item]]) -> None:
        try:
            for item in hook():
                self._send(ItemReady(name, item))
        except Exception as error:
            self._fail(name, "prepare", type(error).__name__, str(error))

    def _fail(self, name: str, stage: str, error_type: str, message: str) -> None:
        self._taps.pop(name, None)
        self._send(ExpertFailed(name, stage, error_type, message))


def _frame(picture: Picture, image: Any) -> Frame:
    return Frame(image, picture.index, picture.start_seconds, picture.end_seconds)


class _Measured:
    """What one pass shows of a video: how long it is and how many pictures it has."""

    def __init__(self, media: MediaInfo, *, by_gpu: bool) -> None:
        self._media, self._by_gpu = media, by_gpu
        self._span: tuple[float, float] | None = None
        self._pieces = 0
        self.seen: set[Kind] = set()

    def add(self, piece: Picture | AudioBlock) -> None:
        is_sound = isinstance(piece, AudioBlock)
        self.seen.add("audio" if is_sound else "video")
        if is_sound != self._media.has_video:  # the length of a film is that of its pictures
            first = piece.start_seconds if self._span is None else self._span[0]
            self._span = (first, piece.end_seconds)
            self._pieces += 1

    def facts(self, counts: DecodeCounts) -> dict[str, Any]:
        """A value for each of :data:`~extract.types.FACTS`; None where this pass did not measure it."""
        facts = dict.fromkeys((fact.name for fact in FACTS), None)
        facts |= {name: getattr(self._media, name) for name in FACTS_OF_HEADERS}
        if self._span is not None:
            facts |= {
                "duration_seconds": self._span[1] - self._span[0],
                "frames": self._pieces if self._media.has_video else None,
            }
        if self.seen:
            facts |= {
                "decode_errors": counts.decode_errors + counts.corrupt_pictures,
                "partial": counts.partial,
                "note": _note(self._media, counts, by_gpu=self._by_gpu),
            }
        return facts


def _note(media: MediaInfo, counts: DecodeCounts, *, by_gpu: bool) -> str | None:
    """What a reader of the ``videos`` table should know about this file."""
    notes = []
    if counts.truncated:
        notes.append("truncated")
    notes += [
        why for why in (media.unreadable_video, media.unreadable_audio, *counts.refused.values()) if why
    ]
    if counts.decode_errors or counts.corrupt_pictures:
        packets = count(counts.decode_errors, "damaged packet")
        notes.append(f"{packets}, {count(counts.corrupt_pictures, 'damaged picture')}")
    if by_gpu and (left := counts.pictures_decoded - counts.pictures_by_gpu):
        notes.append(f"{count(left, 'picture')} decoded by the CPU: the GPU does not take them")
    header = media.header_duration_seconds
    seconds = (counts.last_seconds or 0.0) - (counts.first_seconds or 0.0)  # of pictures and sound
    if header and abs(header - seconds) > max(1.0, 0.1 * seconds):
        notes.append(f"header says {header:.1f} s, decoded {seconds:.1f} s")
    return "; ".join(notes) or None

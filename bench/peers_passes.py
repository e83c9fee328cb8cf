"""How the papers and their tools extract: a pass over the file for each purpose, a video at a time.

The taps and networks are this project's own, so that only the way differs. Facts of the ways: Sulun et
al. 2024, section 3.1 (FFmpeg finds the scenes, then writes the middle frames, then the sound; each network
reads those files); video_features (one model at a time decodes every video again). Both are given what they
do not have: all cores for each decoder, batches of a whole video, sound that is not rounded to 16 bits,
keyframes by seeking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Expert, Tap
from extract.decoder.messages import DecodeJob, ExpertFailed, ItemReady, Message
from extract.decoder.reader import read_video
from extract.detectors.transnetv2 import LocalPredictor
from extract.engine.ledger import VideoLedger
from extract.engine.models import Models
from extract.engine.task import VideoTask
from extract.media.picture import Picture
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read
from extract.selection import Selection
from extract.types import AudioBlock, Frame, Item, MediaInfo, Scene, Sound

BATCH = 16  # items that wait for a model at most


@dataclass(frozen=True)
class Peer:
    """One process that takes the videos one after another.

    ``folder`` holds pictures, sound and spilled rows; ``cores`` are the threads of a decoder and of OCR.
    """

    selection: Selection
    models: Models
    folder: Path
    cores: int

    def extract(self, preset: str, paths: Sequence[Path]) -> Iterator[VideoLedger]:
        """The rows of every video, once all of them are done; the videos are named by their paths."""
        ways: dict[str, Callable[[Expert, _Video], Iterable[Item]]]
        ways = {"sulun2024": self._items_of_files, "fish2021": self._items_of_a_decode}
        videos = [_Video.opened(path, self.selection, self.folder) for path in paths]
        service = self.selection.shot_service
        for video in videos if service else ():
            assert service is not None
            self._compute(service, video, self._items_of_a_decode(service, video))
            tables = {name: buffer.table() for name, buffer in video.ledger.buffers[service.name].items()}
            video.scenes = service.stored_scenes(tables)
        if preset == "sulun2024":
            for video in videos:
                self._write_files(video)
        for expert in self.selection.experts.values():
            for video in videos if expert is not service else ():
                items = ways[preset] if expert.reads_media else self._items_of_tables
                self._compute(expert, video, items(expert, video))
        for video in videos:
            yield video.ledger

    def _compute(self, expert: Expert, video: _Video, items: Iterable[Item]) -> None:
        model = self.models.by_expert[expert.name]
        made = list(items)
        if expert.lane == "host":  # a model of single items, with a session for each thread
            with ThreadPoolExecutor(self.cores) as pool:
                rows = list(chain.from_iterable(pool.map(lambda item: model([item]), made)))
        else:
            parts = (made[i : i + BATCH] for i in range(0, len(made), BATCH))
            rows = list(chain.from_iterable(map(model, parts)))
        for item, of_item in zip(made, rows, strict=True):
            video.ledger.buffers[expert.name][item.table or expert.name].extend(of_item)

    def _items_of_a_decode(self, expert: Expert, video: _Video) -> list[Item]:
        """The file is decoded for this expert alone; from scenes that are known already, if there are any."""
        service = self.selection.shot_service
        job = DecodeJob(
            path=bytes(video.path),
            experts={expert.name: self.selection.options[expert.name]},
            shot_service=service.name if service else None,
            shot_options=self.selection.options[service.name] if service else {},
            scenes=video.scenes,
            threads=self.cores,
        )
        items: list[Item] = []

        def take(message: Message) -> None:
            if isinstance(message, ExpertFailed):
                raise RuntimeError(f"{message.expert} failed on {video.path}: {message.message}")
            if isinstance(message, ItemReady):
                items.append(message.item)

        read_video(job, take, LocalPredictor(self.models.predict or _no_network), lambda: None)
        return items

    def _write_files(self, video: _Video) -> None:
        """A pass for the middle frames, and one for each kind of sound that a network wants."""
        experts = [e for e in self.selection.experts.values() if e.stream_of(video.media)]
        if video.scenes and any(e.streams().keyframes for e in experts):
            wanted = {scene.keyframe for scene in video.scenes}
            for piece in self._read(video, pictures=True):
                if not isinstance(piece, AudioBlock) and piece.index in wanted:
                    _save_picture(video.picture(piece.index), piece.rgb())
        for sound in sorted({s for e in experts if (s := e.streams().sound) is not None}):
            blocks = [b for b in self._read(video, sound) if isinstance(b, AudioBlock)]
            samples = np.concatenate([block.samples for block in blocks])
            np.savez(video.sound(sound), samples=samples, start_seconds=blocks[0].start_seconds)

    def _read(self, video: _Video, *sounds: Sound, pictures: bool = False) -> Iterator[Picture | AudioBlock]:
        counts = DecodeCounts()
        path, threads = bytes(video.path), self.cores
        yield from read(
            path, media=video.media, video=pictures, sounds=sounds, counts=counts, threads=threads
        )

    def _items_of_files(self, expert: Expert, video: _Video) -> Iterator[Item]:
        """What the expert's tap makes of the pictures and the sound in the folder."""
        if not expert.stream_of(video.media):
            return
        streams, tap = expert.streams(), expert.tap(video.media)
        if streams.keyframes:
            for scene in video.scenes or ():
                yield from tap.scene(scene, _keyframe(video.picture(scene.keyframe), scene))
        if streams.sound is not None:
            with np.load(video.sound(streams.sound)) as file:
                yield from _heard(tap, file["samples"], streams.sound, float(file["start_seconds"]))
        yield from tap.close()

    def _items_of_tables(self, expert: Expert, video: _Video) -> Iterator[Item]:
        buffers = [video.ledger.buffers[parent] for parent in expert.upstream]
        return expert.read_tables({name: b.table() for of in buffers for name, b in of.items()})


@dataclass
class _Video:
    """One file, its own folder, and what is known of it so far."""

    path: Path
    media: MediaInfo
    folder: Path
    ledger: VideoLedger
    scenes: tuple[Scene, ...] | None = None

    @classmethod
    def opened(cls, path: Path, selection: Selection, folder: Path) -> _Video:
        own = folder / path.name
        own.mkdir(parents=True)
        task = VideoTask(path.stem, bytes(path), tuple(selection.experts))
        return cls(path, probe(bytes(path)), own, VideoLedger(task, selection, own))

    def picture(self, index: int) -> Path:
        return self.folder / f"{index}.png"

    def sound(self, sound: Sound) -> Path:
        return self.folder / f"{sound.sample_rate} {sound.downmix}.npz"


def _heard(tap: Tap, samples: NDArray[np.float32], sound: Sound, start_seconds: float) -> Iterable[Item]:
    return tap.audio(AudioBlock(samples, sound.sample_rate, start_seconds, sound.downmix))


def _keyframe(path: Path, scene: Scene) -> Frame:
    from PIL import Image

    with Image.open(path) as picture:
        image = np.array(picture)
    return Frame(image, scene.keyframe, scene.keyframe_start_seconds, scene.keyframe_end_seconds)


def _save_picture(path: Path, image: NDArray[np.uint8]) -> None:
    from PIL import Image

    Image.fromarray(image).save(path, compress_level=1)


def _no_network(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
    raise RuntimeError("the shot detector asks for a network and has none")

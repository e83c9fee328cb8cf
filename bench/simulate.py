"""The engine on a machine that is not there: ``python -m bench.simulate``.

The product's own engine, lanes and books, with decoders and models that only take their time, on a clock that
jumps from one event to the next: the same figures on every machine. It shows how busy the device is, how full
its batches are, and how many bytes of items wait between decoders and models at most.

Items have the shapes and the rates of the experts' own declarations, for trailers of 640x360 with shots of
2.5 s on average. What decoders and models take is assumed: :data:`DECODE_SECONDS`, :data:`FAST_DEVICE`.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.simulated_machine import SimulatedMachine
from extract.declarations import PassThrough, Resources
from extract.decoder.messages import DecodeJob, Finished, ItemReady, MediaOpened, Message
from extract.engine.engine import Engine
from extract.engine.models import Models
from extract.engine.task import VideoTask
from extract.experts import i3d, r2plus1d, whisper
from extract.experts._audio import AudioExpert
from extract.experts._frames import FramesExpert
from extract.experts._pictures import IMAGE_SIZE, PictureExpert
from extract.ops.motion.frame_grid import SceneStacks
from extract.ops.network.staged import Stacked, StagedModel
from extract.ops.sound.windows import Window
from extract.selection import ExtractConfig, Selection, select
from extract.types import Item, MediaInfo, Row
from pipeline.settings import choose
from pipeline.work.config import RunConfig
from pipeline.work.host import engine_settings

PRESETS = ("sulun2024", "fish2021")
HEIGHT, WIDTH, FPS = 360, 640, 24.0
SHOT_SECONDS = 2.5
VIDEO_SECONDS = 150.0
CORES = 16
QUEUE_BYTES = (128 << 30) // 8  # the default's share of the memory beside such a card

# Core seconds of a decoder for each second of video: measured on the two cores of docs/experts.md's machine.
DECODE_SECONDS = {"sulun2024": 0.028, "fish2021": 0.028 + 0.108 + 0.041}


@dataclass(frozen=True)
class Cost:
    """Seconds of a call to the device, and of each item, or picture, in it; ``most`` are in a call."""

    call: float
    item: float
    most: int = 64

    def seconds(self, items: int) -> float:
        """Of so many items; the last call is padded to a power of two."""
        whole, left = divmod(items, self.most)
        last = self.call + self.item * (1 << (left - 1).bit_length()) if left else 0.0
        return whole * (self.call + self.item * self.most) + last


# Of a card that does 50e12 operations a second on these networks and 1,000 pairs of TV-L1; OCR is of a core.
FAST_DEVICE: Mapping[str, Cost] = {
    "clip": Cost(0.008, 0.0002),
    "panns": Cost(0.004, 0.0005),
    "musicnet": Cost(0.004, 0.0010),
    "whisper": Cost(0.050, 0.1000),
    "distilbert": Cost(0.004, 0.0005),
    "ocr": Cost(0.0, 0.11, most=1),
    "senet": Cost(0.030, 0.0010),
    "places": Cost(0.004, 0.0001),
    "i3d_rgb": Cost(0.020, 0.0045, most=8),
    "i3d_flow": Cost(0.020, 0.0685, most=8),
    "r2plus1d": Cost(0.020, 0.0060, most=8),
    "vggish": Cost(0.002, 0.0001),
}
SLOWER = 8.0  # the slow device
DEVICES = {"fast": 1.0, "4 times as fast": 0.25, "slow": SLOWER}  # the second as half precision might be
ONE_STEP = ("whisper", "distilbert", "ocr")  # models that are just called
# Stacking and pinning are two copies in memory, of 5.2 and 4.3 GB/s on one of docs/experts.md's two cores.
STACK_BYTES_PER_SECOND = 1 / (1 / 5.2e9 + 1 / 4.3e9)


@dataclass(frozen=True)
class Report:
    """What a simulated run has shown, in its own seconds.

    Attributes:
        seconds: from the start to the end.
        busy: share of the time in which a lane computed, from when a third of the videos was handed out until
            all were.
        fill: mean share that a batch of the device had of what it may have, by expert.
        peak_bytes: of items in flight.
        seconds_of_video: in all.
    """

    seconds: float
    busy: Mapping[str, float]
    fill: Mapping[str, float]
    peak_bytes: int
    seconds_of_video: float

    @property
    def speed(self) -> float:
        """Seconds of video a second."""
        return self.seconds_of_video / self.seconds


class Trailers:
    """What decoders bring of trailers with random shots, the same for a seed."""

    def __init__(self, selection: Selection, preset: str, count: int, *, seed: int = 0) -> None:
        self.selection = selection
        self.decode_seconds = DECODE_SECONDS[preset]
        random = Random(seed)
        self.shots = [list(_shots(random)) for _ in range(count)]
        self._sounds = {
            name: _sound_items(expert)
            for name, expert in selection.experts.items()
            if isinstance(expert, AudioExpert | whisper.Whisper)
        }

    def tasks(self) -> list[VideoTask]:
        experts = tuple(self.selection.experts)
        return [VideoTask(str(number), str(number).encode(), experts) for number in range(len(self.shots))]

    def messages(self, job: DecodeJob) -> Iterator[tuple[float, Message]]:
        """A video's messages, each with the seconds of work since the one before."""
        shots = self.shots[int(job.path)]
        end = shots[-1][1]
        items = sorted(self._items(job, shots), key=lambda ready: ready.item.end_seconds)
        yield 0.0, MediaOpened(MediaInfo(job.path.decode(), 0, "mp4", end, True, True, WIDTH, HEIGHT))
        at = 0.0
        for ready in items:
            yield (ready.item.end_seconds - at) * self.decode_seconds, ready
            at = ready.item.end_seconds
        frames = round(end * FPS)
        busy = end * self.decode_seconds
        yield (end - at) * self.decode_seconds, Finished({"duration_seconds": end}, frames, frames, busy)

    def _items(self, job: DecodeJob, shots: Sequence[tuple[float, float]]) -> Iterator[ItemReady]:
        for name in job.experts:
            expert = self.selection.experts[name]
            if name in self._sounds:
                hop, arrays = self._sounds[name]
                starts = np.arange(0.0, shots[-1][1] - hop / 2, hop)
                found = [Item(s, min(s + hop, shots[-1][1]), arrays) for s in starts.tolist()]
            elif isinstance(expert, i3d.I3d | r2plus1d.R2plus1d):
                found = [item for start, stop in shots for item in stack_items(expert, start, stop)]
            elif isinstance(expert, FramesExpert) and expert.options.frames == "every":
                nth = expert.options.nth
                found = [_frames_item(start, stop, nth) for start, stop in shots]
            elif isinstance(expert, PictureExpert) or name in ("ocr", "clip"):
                size = (HEIGHT, WIDTH) if name == "ocr" else (IMAGE_SIZE, IMAGE_SIZE)
                found = [Item(start, stop, {"image": _blank(*size, 3)}) for start, stop in shots]
            else:
                continue
            yield from (ItemReady(name, item) for item in found)


def simulate(
    preset: str,
    *,
    slower: float = 1.0,
    slower_host: float = 1.0,
    videos: int = 60,
    queue_bytes: int = QUEUE_BYTES,
    staged: bool = True,
) -> Report:
    """A run of a preset's experts at a GPU's defaults on 16 cores, with so much room for items.

    ``slower``: how many times longer the device takes; ``slower_host``: OCR, on the host's cores. Without
    ``staged``, one thread stacks, copies, computes and makes rows, as on a CPU.
    """
    experts, options = choose(preset=preset, experts=None, layers=[])
    selection = select(ExtractConfig(experts=experts, options=options, random_seed=0, device="cpu"))
    trailers = Trailers(selection, preset, videos)
    machine = SimulatedMachine(trailers.messages)
    fills: dict[str, list[float]] = defaultdict(list)
    times = {name: slower_host if name == "ocr" else slower for name in selection.experts}
    made = {
        name: _Model(machine, name, times[name], fills[name])
        for name in selection.experts
        if name in FAST_DEVICE or f"{name}_rgb" in FAST_DEVICE
    }
    alone = {name: model.__call__ for name, model in made.items() if not staged or name in ONE_STEP}
    models = Models({**dict.fromkeys(selection.experts, PassThrough()), **made, **alone})
    here = Path()
    config = RunConfig(videos=here, out=here, experts=experts, queue_memory_bytes=queue_bytes)
    settings = engine_settings(config, "cuda:0", cores=CORES)
    handed_out: list[float] = []

    def tasks() -> Iterator[VideoTask]:
        for task in trailers.tasks():
            handed_out.append(machine.now())
            yield task

    with Engine(selection, settings, models=models, machine=machine) as engine:
        machine.credit = engine.credit
        machine.bytes_in_flight = lambda: engine.bytes_in_flight
        for _ in engine.run(tasks()):
            pass
    begin, end = handed_out[videos // 3], handed_out[-1]
    threads = {"device": 1, "host": settings.host_threads}
    return Report(
        seconds=machine.now(),
        busy={lane: machine.busy_share(lane, begin, end) / count for lane, count in threads.items()},
        fill={
            name: float(np.mean(shares))
            for name, shares in fills.items()
            if shares and selection.experts[name].lane == "device"
        },
        peak_bytes=machine.peak_bytes,
        seconds_of_video=sum(shots[-1][1] for shots in trailers.shots),
    )


class _Model(StagedModel):
    """Takes its time: the host's for stacking and pinning what items carry, then the device's."""

    def __init__(self, machine: SimulatedMachine, name: str, slower: float, fills: list[float]) -> None:
        self._machine, self._name, self._slower, self._fills = machine, name, slower, fills
        self.resources = Resources(device="cuda:0")

    @property
    def items_at_once(self) -> int:
        return min(cost.most for table, cost in FAST_DEVICE.items() if table.startswith(self._name))

    def stack(self, items: Sequence[Item]) -> Stacked:
        """Its one value are the seconds that the device will take."""
        self._fills.append(len(items) / self.items_at_once)
        carried = sum(array.nbytes for item in items for array in item.arrays.values())
        self._machine.spend(carried / STACK_BYTES_PER_SECOND)
        counts: Counter[str] = Counter()
        for item in items:
            counts[item.table or self._name] += len(item.arrays.get("images", (None,)))
        seconds = sum(FAST_DEVICE[table].seconds(count) for table, count in counts.items())
        return [np.array(self._slower * seconds)]

    def compute(self, inputs: Any) -> Any:
        self._machine.spend(inputs[0].item())

    def rows(self, items: Sequence[Item], values: Any) -> list[list[Row]]:
        return [[] for _ in items]

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        """All in one thread."""
        rows = self.rows(items, self.compute(self.stack(items)))
        self._fills[-1] = len(items) / self.resources.batch_size
        return rows


def _shots(random: Random) -> Iterator[tuple[float, float]]:
    start = 0.0
    while start < VIDEO_SECONDS:
        end = start + min(max(random.expovariate(1 / SHOT_SECONDS), 0.4), 12.0)
        yield start, end
        start = end


def stack_items(expert: i3d.I3d | r2plus1d.R2plus1d, start: float, stop: float) -> Iterator[Item]:
    """The items of one shot, cut by the experts' own stacks."""
    options = expert.options
    if isinstance(expert, i3d.I3d):
        stacks = SceneStacks[None](fps=options.fps, length=options.frames, step=options.step)
    else:
        stacks = SceneStacks[None](fps=options.grid_fps, length=options.stack_frames, step=options.stack_step)
    for frame in range(round((stop - start) * FPS) + 1):
        stacks.add(start + frame / FPS, None)
    for stack in stacks.close(start, stop):
        length = len(stack.frames)
        begin, end = stack.start_seconds, max(stack.start_seconds, min(stack.end_seconds, stop))
        if isinstance(expert, r2plus1d.R2plus1d):
            clip = _blank(length, r2plus1d.CROP, r2plus1d.CROP, 3, dtype=np.float32)
            yield Item(begin, end, {"clip": clip})
            continue
        if "rgb" in expert.modalities:
            yield Item(begin, end, {"rgb": _blank(length, i3d.CROP, i3d.CROP, 3)}, table="i3d_rgb")
        if "flow" not in expert.modalities:
            continue
        shown = length + (stack.following is not None)
        grey = _blank(shown, i3d.SHORT_SIDE, i3d.SHORT_SIDE * WIDTH // HEIGHT)
        yield Item(begin, end, {"grey": grey}, table="i3d_flow")


def _frames_item(start: float, stop: float, nth: int) -> Item:
    """Of one shot the frames whose number is a multiple of n; at least the keyframe."""
    pictures = max(1, math.ceil(stop * FPS / nth) - math.ceil(start * FPS / nth))
    return Item(start, stop, {"images": _blank(pictures, IMAGE_SIZE, IMAGE_SIZE, 3)})


def _sound_items(expert: AudioExpert | whisper.Whisper) -> tuple[float, Mapping[str, NDArray[Any]]]:
    """Seconds from one item to the next, and what each carries."""
    if isinstance(expert, whisper.Whisper):
        return 30.0, {"samples": _blank(30 * 16_000, dtype=np.int16)}
    windows = expert.windows()
    silence = Window(0.0, 1.0, np.zeros(windows.window_samples, np.float32))
    return windows.hop_samples / windows.sample_rate, expert.prepare(silence)


def _blank(*shape: int, dtype: Any = np.uint8) -> NDArray[Any]:
    """An array that counts as its shape and takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--preset", action="append", choices=PRESETS)
    chosen = parser.parse_args(arguments)
    print("| preset | device | lane | busy | video s/s | mean fill of batches | peak MB in flight |")
    print("|---|---|---|---|---|---|---|")
    for preset in chosen.preset or PRESETS:
        for device, slower in DEVICES.items():
            for lane, staged in (("one thread", False), ("stages", True)):
                report = simulate(preset, slower=slower, videos=chosen.videos, staged=staged)
                fill = ", ".join(f"{name} {share:.0%}" for name, share in report.fill.items())
                print(
                    f"| {preset} | {device} | {lane} | {report.busy['device']:.1%} | {report.speed:.1f} "
                    f"| {fill} | {report.peak_bytes / 1e6:.0f} |"
                )


if __name__ == "__main__":
    main()

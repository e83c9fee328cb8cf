"""How much is measured: for a GPU, and for the dry mode, which only shows that everything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from bench.demo_trailers import DEMO, Shot, Trailer
from extract.expert import Precision
from extract.nets.whisper import ModelName
from extract.registry import expert_class, expert_names


@dataclass(frozen=True)
class Sizes:
    """What the sections of a report measure.

    Attributes:
        least_seconds: what a call is timed over, at least.
        most_seconds: a batch that is expected to take longer is left out.
        copy_bytes: of a copy between host and device.
        matrix: rows and columns of what is multiplied.
        experts: whose networks are measured.
        compared_items: of each expert, whose rows are compared.
        compared: precisions in which they are.
        batches: items in a batch.
        precisions: that speed is measured in, the second only if there is time.
        flow_batches: pairs in a batch of TV-L1.
        flow_checked: pairs at each size that are compared with OpenCV's flow.
        whisper_model: which of the published networks.
        windows: of sound that are decoded side by side.
        tokens: of each window.
        trailers: that are rendered.
        copies: of the trailers in a whole run.
        presets: of whole runs, each with the experts that take part; none: all of the preset's.
        decoders: processes in a whole run.
        tests: files and folders whose tests with the marker ``cuda`` run.
    """

    least_seconds: float
    most_seconds: float
    copy_bytes: int
    matrix: int
    experts: tuple[str, ...]
    compared_items: int
    compared: tuple[Precision, ...]
    batches: tuple[int, ...]
    precisions: tuple[Precision, ...]
    flow_batches: tuple[int, ...]
    flow_checked: int
    whisper_model: ModelName
    windows: int
    tokens: int
    trailers: tuple[Trailer, ...]
    copies: int
    presets: tuple[tuple[str, tuple[str, ...]], ...]
    decoders: int
    tests: tuple[str, ...]


def networks() -> tuple[str, ...]:
    """All experts that compute on the device; the shot network serves the lane of all others."""
    classes = {name: expert_class(name) for name in expert_names()}
    return tuple(name for name, kind in classes.items() if kind.lane == "device" or kind.detects_shots)


def full() -> Sizes:
    """Ten minutes of a large card."""
    return Sizes(
        least_seconds=0.3,
        most_seconds=8.0,
        copy_bytes=1 << 30,
        matrix=8192,
        experts=networks(),
        compared_items=3,
        compared=get_args(Precision),
        batches=(8, 64, 256),
        precisions=("bfloat16", "float32"),
        flow_batches=(16, 32, 64, 128, 256, 512),
        flow_checked=8,
        whisper_model="turbo",
        windows=64,
        tokens=64,
        trailers=DEMO,
        copies=8,
        presets=(("sulun2024", ()), ("fish2021", ()), ("all", ())),
        decoders=16,
        tests=("tests",),
    )


def dry() -> Sizes:
    """About a minute of a laptop's processor."""
    return Sizes(
        least_seconds=0.0,
        most_seconds=60.0,
        copy_bytes=1 << 20,
        matrix=128,
        experts=("musicnet",),
        compared_items=2,
        compared=("float32", "bfloat16"),
        batches=(1,),
        precisions=("float32",),
        flow_batches=(1,),
        flow_checked=1,
        whisper_model="tiny",
        windows=1,
        tokens=2,
        trailers=(Trailer("dry", (Shot(1.5, "waves"), Shot(1.5, "discs"))),),
        copies=1,
        presets=(("sulun2024", ("scenes", "musicnet")),),
        decoders=1,
        tests=("tests/extract/ops/network/test_device.py",),
    )

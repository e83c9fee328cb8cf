"""Whole runs of presets over rendered trailers: seconds of video a second, and what kept the device busy."""

from __future__ import annotations

from functools import partial

from bench.extract import chosen_experts, measure, render
from bench.gpu.measuring import Gauge, Measurement
from bench.gpu.shown import SEED
from pipeline.work.config import RunConfig


def runs(gauge: Gauge) -> None:
    """Each preset as bench.extract measures it: decoders alone, models alone, and a run into a store."""
    for preset, experts in gauge.sizes.presets:
        gauge.measure({"preset": preset}, partial(_whole, gauge, preset, experts))


def _whole(gauge: Gauge, preset: str, experts: tuple[str, ...]) -> Measurement:
    sizes = gauge.sizes
    videos = render(gauge.folder / "copies", copies=sizes.copies, trailers=sizes.trailers)
    names, options = chosen_experts(preset, experts, {})
    if "whisper" in options:
        options["whisper"]["model"] = sizes.whisper_model
    config = RunConfig(
        videos=videos,
        out=gauge.folder,
        experts=names,
        options=options,
        random_seed=SEED,
        device=gauge.device,
        decoders=sizes.decoders,
    )
    result = measure(config, name=preset, repeat=1)
    return {
        "videos": result.decode.videos,
        "video s/s": result.speed,
        "wall s": result.wall.seconds,
        "decode s": result.decode.cost.seconds,
        "compute s": result.compute.seconds,
        "device busy": result.busy,
        "efficiency": result.efficiency,
        "fill of batches": ", ".join(f"{name} {share:.0%}" for name, share in result.fill.items()),
    }

"""The machine and the card: versions and clocks, copies between them, and what its units multiply."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from bench.gpu.measuring import Gauge, Measurement
from bench.tvl1 import copy_bandwidth
from extract.errors import DISTRIBUTION
from extract.ops.network.inference import exact_products
from pipeline.gpus import TOOL
from pipeline.work.config import usable_cores

PACKAGES = (DISTRIBUTION, "numpy", "torch", "triton", "openai-whisper", "opencv-contrib-python-headless")
ASKED = (
    "name,driver_version,memory.total,temperature.gpu,power.limit,power.draw,clocks.sm,clocks.max.sm,clocks.mem,"
    "clocks.max.mem,pcie.link.gen.current,pcie.link.width.current,persistence_mode,mig.mode.current"
)
PRODUCTS = ("float32", "tf32", "bfloat16", "float16")


def versions(gauge: Gauge) -> None:
    """Software, processor and card."""
    for package in PACKAGES:
        gauge.measure({"what": package}, partial(_version, package))
    gauge.take({"what": "python", "value": platform.python_version()})
    gauge.take({"what": "processor", "value": f"{platform.machine()}, {usable_cores()} cores usable"})
    gauge.take({"what": "load average", "value": round(os.getloadavg()[0], 1)})
    gauge.measure({"what": "card"}, _card, needs_gpu=True)
    gauge.measure({"what": "CUDA and cuDNN of torch"}, _libraries, needs_gpu=True)
    for name in ASKED.split(","):
        gauge.measure({"what": name}, partial(_asked, name), needs_gpu=True)


def _version(package: str) -> Measurement:
    try:
        return {"value": version(package)}
    except PackageNotFoundError:
        return {"value": "not installed"}


def _card() -> Measurement:
    properties = torch.cuda.get_device_properties(0)
    gibibytes = properties.total_memory / (1 << 30)
    units, capability = properties.multi_processor_count, f"{properties.major}.{properties.minor}"
    return {
        "value": f"{properties.name}, {gibibytes:.0f} GiB, {units} multiprocessors, capability {capability}"
    }


def _libraries() -> Measurement:
    cudnn: Any = torch.backends.cudnn
    return {"value": f"{torch.version.cuda}, {cudnn.version()}"}


def _asked(name: str) -> Measurement:
    """Of every card here, in the order of nvidia-smi."""
    command = [TOOL, f"--query-gpu={name}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return {"value": ", ".join(line.strip() for line in done.stdout.splitlines())}


def copies(gauge: Gauge) -> None:
    """Gigabytes a second between host and device, from pageable and from pinned memory, and on the device."""
    size = gauge.sizes.copy_bytes

    def between(*, pinned: bool, to_device: bool) -> Measurement:
        host = torch.empty(size, dtype=torch.uint8, pin_memory=pinned)
        device = torch.empty(size, dtype=torch.uint8, device=gauge.device)
        source, target = (host, device) if to_device else (device, host)
        seconds = gauge.seconds(lambda: target.copy_(source, non_blocking=True))
        return {"GB/s": size / seconds / 1e9}

    for pinned in (False, True):
        for to_device in (True, False):
            what = {
                "memory": "pinned" if pinned else "pageable",
                "way": "to the device" if to_device else "from the device",
            }
            gauge.measure(what, partial(between, pinned=pinned, to_device=to_device), needs_gpu=pinned)
    gauge.measure(
        {"memory": "device", "way": "read and written"},
        lambda: {"GB/s": copy_bandwidth(gauge.device, size) / 1e9},
    )


def products(gauge: Gauge) -> None:
    """Operations a second of square matrices: the peaks that the experts' shares are of."""
    size = gauge.sizes.matrix

    def multiplied(kind: str) -> Measurement:
        dtype = torch.float32 if kind in ("float32", "tf32") else getattr(torch, kind)
        a, b = (torch.randn(size, size, device=gauge.device).to(dtype) for _ in range(2))
        with exact_products(gauge.device) if kind == "float32" else tf32():
            seconds = gauge.seconds(lambda: a @ b)
        clock = _asked("clocks.sm")["value"] if gauge.on_gpu else None
        return {"TFLOP/s": 2 * size**3 / seconds / 1e12, "clock after it": clock}

    for kind in PRODUCTS:
        gauge.measure(
            {"type": kind, "size": size},
            partial(multiplied, kind),
            needs_gpu=kind == "tf32",
        )


@contextmanager
def tf32() -> Iterator[None]:
    """Products of float32 in TF32, on a GPU, in the meantime."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def peak(gauge: Gauge, kind: str) -> float | None:
    """Operations a second that were measured by :func:`products`, if they were."""
    found = [row.get("TFLOP/s") for row in gauge.earlier.get("products", ()) if row["type"] == kind]
    return found[0] * 1e12 if found and found[0] is not None else None

"""What to extract, made definite: experts with options, verified weights, fingerprints."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extract.declarations import Expert
from extract.detectors.service import ShotService
from extract.errors import DeviceUnusable, UsageError, unknown
from extract.fingerprint import fingerprint
from extract.options import Checked, Decode, Device, Dtype, Precision, Seed
from extract.registry import expert_names, make_expert, with_upstream
from extract.weights.files import DownloadProgress, ResolvedWeight
from extract.weights.locate import resolve


@dataclass(frozen=True, kw_only=True)
class ExtractConfig(Checked):
    """What to extract, and with what; checks itself.

    Attributes:
        experts: names; what they read from is added.
        options: of each expert, ``{"scenes": {"detector": "content"}}``.
        weights: folder with published checkpoints; None: the libraries' caches, then a download.
        download: whether weights that are nowhere may be downloaded.
        random_seed: draw all weights from this seed instead of reading files (dry runs).
        device: ``auto`` (the first GPU, if there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        precision: of the networks; None: the device's usual one (:func:`usual_precision`).
        dtype: of stored vectors.
        decode: what decodes pictures; ``cuda`` is the GPU's own decoder (NVDEC), on ``device``.
    """

    experts: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    weights: Path | None = None
    download: bool = True
    random_seed: Seed | None = None
    device: Device = "auto"
    precision: Precision | None = None
    dtype: Dtype = "float16"
    decode: Decode = "cpu"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.experts:
            raise UsageError(f"--experts is empty; there are {', '.join(expert_names())}")
        if self.weights is not None and not self.weights.is_dir():
            raise UsageError(f"--weights {str(self.weights)!r}: no such folder; give one that exists")

    @classmethod
    def named(cls, field: str) -> str:
        """By the flag of the command line, where there is one."""
        if field == "random_seed":
            return "random_seed (--random-weights)"
        return field if field in ("download", "options") else f"--{field.replace('_', '-')}"


@dataclass(frozen=True)
class Selection:
    """Experts, upstream first, each with its weights and fingerprint.

    ``options`` are those that decoders make it with, ``described`` is what each fingerprint was made of, in
    the clear.
    """

    experts: Mapping[str, Expert]
    options: Mapping[str, Mapping[str, Any]]
    weights: Mapping[str, Mapping[str, ResolvedWeight]]
    fingerprints: Mapping[str, str]
    described: Mapping[str, Mapping[str, Any]]
    device: str = "cpu"
    precision: Precision = "float32"
    dtype: Dtype = "float16"
    random_seed: int | None = None
    decode: Decode = "cpu"

    @property
    def decoding_gpu(self) -> int | None:
        """The number of the GPU that decodes pictures; None if the CPU does."""
        return None if self.decode == "cpu" else int(self.device.partition(":")[2] or 0)

    def check_decoder(self) -> None:
        """Raises DeviceUnusable where pictures are to be decoded by a GPU that cannot."""
        if self.decoding_gpu is None:
            return
        if self.device == "cpu":
            raise DeviceUnusable(
                "--decode cuda needs a GPU, and this run computes on the CPU: give --device cuda where there "
                "is one, or use --decode cpu"
            )
        from extract.media.container import check_gpu_decoder

        check_gpu_decoder(self.decoding_gpu)

    @property
    def shot_service(self) -> ShotService | None:
        """The expert that detects shots for the others; None if nobody follows shots."""
        return next(iter(_shot_services(self.experts)), None)


def _shot_services(experts: Mapping[str, Expert]) -> list[ShotService]:
    return [expert for expert in experts.values() if isinstance(expert, ShotService)]


def choose_experts(names: Iterable[str], options: Mapping[str, Mapping[str, Any]]) -> dict[str, Expert]:
    """The named experts and what they read from, upstream first; checks options and packages.

    Raises:
        UsageError: an unknown expert or option, options for an expert that is not chosen, or several
            shot detectors.
        ExpertError: an expert declares what cannot work.
        MissingDependency: a package is not installed.
    """
    experts = {name: make_expert(name, options.get(name)) for name in with_upstream(names)}
    for name in options:
        if name not in experts:
            raise unknown("options were given for", name, experts, have="but the experts are")
    services = _shot_services(experts)
    if len(services) > 1:
        raise UsageError(f"{' and '.join(s.name for s in services)} both detect shots: choose one of them")
    for expert in experts.values():
        expert.check_installed()
        if (problem := expert.misfit(experts)) is not None:
            raise UsageError(problem)
    return experts


def select(config: ExtractConfig, download_progress: DownloadProgress | None = None) -> Selection:
    """Choose experts and find their weights; everything that can be wrong is found here.

    Raises, beside the errors of :func:`choose_experts`, WeightsError for missing or bad files, and
    DeviceUnusable.
    """
    experts = choose_experts(config.experts, config.options)
    device = choose_device(config.device)
    precision = config.precision or usual_precision(device)
    files = {name: expert.weights() for name, expert in experts.items()}
    seed = config.random_seed
    resolved = (
        resolve(files, config.weights, download=config.download, progress=download_progress)
        if seed is None
        else {}
    )
    fingerprints: dict[str, str] = {}
    described: dict[str, dict[str, Any]] = {}
    for name, expert in experts.items():
        fingerprints[name], described[name] = fingerprint(
            expert,
            weights={role: file.sha256 for role, file in resolved.get(name, {}).items()},
            upstream={parent: fingerprints[parent] for parent in expert.upstream},
            precision=precision,
            dtype=config.dtype,
            random_seed=seed,
            decode=config.decode,
        )
    return Selection(
        experts=experts,
        options={
            name: {**config.options.get(name, {}), **expert.tap_options()} for name, expert in experts.items()
        },
        weights=resolved,
        fingerprints=fingerprints,
        described=described,
        device=device,
        precision=precision,
        dtype=config.dtype,
        random_seed=seed,
        decode=config.decode,
    )


def usual_precision(device: str) -> Precision:
    """bfloat16 on an accelerator, whose tensor cores compute nothing in plain float32; float32 on a CPU.

    float32 too on GPUs before Ampere (T4, V100), which emulate bfloat16.
    """
    if device == "cpu":
        return "float32"
    import torch

    emulated = torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False)
    return "float32" if emulated else "bfloat16"


def choose_device(wanted: str) -> str:
    """``auto`` is the first CUDA device if there is one, else the CPU.

    Raises DeviceUnusable for one that this machine or this build of PyTorch does not have.
    """
    if wanted == "cpu" or (wanted == "auto" and not _may_have_gpu()):
        return "cpu"
    import torch

    if wanted == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise DeviceUnusable(
            f"--device {wanted} cannot be used ({reason}); allowed: auto, cpu, cuda:N"
        ) from error
    return wanted


def _may_have_gpu() -> bool:
    """Whether torch has to be asked, whose import takes longer than everything else before the models load.

    On Linux it needs the driver's library (NVIDIA) or its device (AMD).
    """
    if sys.platform != "linux" or os.path.exists("/dev/kfd"):
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True

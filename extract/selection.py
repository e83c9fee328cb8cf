"""What to extract, made definite: experts with options, verified weights, fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.errors import UsageError
from extract.expert import Expert
from extract.fingerprint import fingerprint
from extract.registry import make_expert, with_upstream
from extract.tables import Dtype
from extract.types import Precision
from extract.weights.files import DownloadProgress, ResolvedWeight
from extract.weights.locate import resolve


@dataclass(frozen=True)
class Selection:
    """Experts, upstream first, each with its options, weights and fingerprint.

    ``described`` is what each fingerprint was made of, in the clear.
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


def choose_experts(
    names: Iterable[str], options: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Expert]:
    """The named experts and what they read from, upstream first; checks options and packages.

    Raises:
        UsageError: an unknown expert or option, or options for an expert that is not chosen.
        MissingDependency: a package is not installed.
    """
    options = options or {}
    experts = {name: make_expert(name, options.get(name)) for name in with_upstream(names)}
    for name in options:
        if name not in experts:
            raise UsageError(f"options were given for {name!r}, but the experts are {', '.join(experts)}")
    for expert in experts.values():
        expert.check_installed()
    return experts


def select(
    names: Iterable[str],
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    weights: Path | None = None,
    download: bool = True,
    download_progress: DownloadProgress | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    dtype: Dtype = "float16",
    random_seed: int | None = None,
) -> Selection:
    """Choose experts and find their weights; everything that can be wrong is found here.

    Raises, beside the errors of :func:`choose_experts`, WeightsError for missing or bad files.
    """
    experts = choose_experts(names, options)
    files = {name: expert.weights() for name, expert in experts.items()}
    resolved = (
        resolve(files, weights, download=download, progress=download_progress) if random_seed is None else {}
    )
    fingerprints: dict[str, str] = {}
    described: dict[str, dict[str, Any]] = {}
    for name, expert in experts.items():
        fingerprints[name], described[name] = fingerprint(
            expert,
            weights={role: file.sha256 for role, file in resolved.get(name, {}).items()},
            upstream={parent: fingerprints[parent] for parent in expert.upstream},
            precision=precision,
            dtype=dtype,
            random_seed=random_seed,
        )
    return Selection(
        experts=experts,
        options={name: (options or {}).get(name, {}) for name in experts},
        weights=resolved,
        fingerprints=fingerprints,
        described=described,
        device=choose_device(device),
        precision=precision,
        dtype=dtype,
        random_seed=random_seed,
    )


def choose_device(wanted: str) -> str:
    """``auto`` is the first CUDA device if there is one, else the CPU.

    Raises UsageError for a device that this machine or this build of PyTorch does not have.
    """
    if wanted == "cpu":
        return "cpu"
    import torch

    if wanted == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"--device {wanted} cannot be used ({reason}); allowed: auto, cpu, cuda:N"
        ) from error
    return wanted

"""What the command line prints about this machine: weights, packages, devices, certificates."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from extract.errors import MarqueeError, MissingDependency, UsageError, again, command, count, to_install
from extract.opencv import check as check_opencv
from extract.registry import expert_names, make_expert, with_upstream
from extract.terminal import print_line, print_next
from extract.weights.files import WeightFile, size_text
from extract.weights.locate import check, resolve
from extract.weights.wheels import source_text
from pipeline.cli.download_display import show_downloads
from pipeline.cli.missing import whole_size
from pipeline.settings import checked_folder
from pipeline.storage.location import Location
from pipeline.storage.versions import installed

PACKAGES = ("torch", "torchvision", "av", "numpy", "pyarrow", "onnxruntime", "transformers")


def print_weights(
    names: Iterable[str],
    options: Mapping[str, Mapping[str, Any]],
    folder: Path | None,
    *,
    fetch: bool,
    console: Console,
) -> bool:
    """One line for each file: where it is, or what is wrong. Returns whether all are there."""
    if folder is not None:
        checked_folder(folder, "--weights")
    experts = {name: make_expert(name, options.get(name)) for name in with_upstream(names)}
    files = {name: expert.weights() for name, expert in experts.items() if expert.weights()}
    if fetch:
        with show_downloads(console) as progress:
            resolve(files, folder, download=True, progress=progress)
    found = 0
    lacking: set[WeightFile] = set()
    for name, wanted in files.items():
        for file in wanted:
            state, good = _weight_state(file, folder)
            found += good
            lacking |= set() if good else {file}
            print_line(console, f"{name}: {file.name}, {size_text(file.size_bytes)}, {file.licence}")
            print_line(console, f"  {state}")
    if not files:
        print_line(console, f"{', '.join(experts)}: no files needed")
    elif lacking:
        there = f"{found} of {count(sum(map(len, files.values())), 'file')} here"
        print_line(console, f"{there}, {whole_size(lacking)} missing")
        place = folder or "DIR"
        print_line(console, f"--fetch downloads them; files from elsewhere are found by --weights {place}")
        print_next(console, again("--fetch"))
    else:
        print_next(console, command("extract", "VIDEOS", "--experts", ",".join(files)))
    return not lacking


def print_certificates(folder: Location, days: int, console: Console) -> None:
    """Make certificates for a cluster; where they are and how they are used."""
    try:
        from pipeline.work.certificates import make_certificates
    except ImportError as error:
        raise MissingDependency(f"{error.name} is not installed here: {to_install('cluster')}") from error
    if not isinstance(folder, Path):
        raise UsageError(f"DIR is {str(folder)!r}; a local folder that only you can access is needed")
    end = make_certificates(folder, days)
    print_line(
        console,
        f"{folder}: certificates for a Dask cluster, valid until {end:%Y-%m-%d}; keep them private",
    )
    print_line(
        console,
        f"every part of the cluster needs them: --certificates {folder}, or MARQUEE_CERTIFICATES={folder}",
    )
    used = ("--scheduler", "tls://HOST:8786", "--certificates", folder)
    print_next(console, command("extract", "VIDEOS", *used))


def print_doctor(folder: Path | None, console: Console) -> bool:
    """Packages, devices, OpenCV, and for each expert whether it can run here, and how to fix what cannot."""
    import torch

    if folder is not None:
        checked_folder(folder, "--weights")
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    where = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    print_line(
        console, f"{where}, {count(os.cpu_count() or 1, 'core')}, GPUs: {', '.join(devices) or 'none'}"
    )
    found = installed(PACKAGES)
    print_line(console, "  ".join(f"{name} {found.get(name, 'not installed')}" for name in PACKAGES))
    problem = check_opencv()
    print_line(console, f"OpenCV: {problem or 'one distribution, as it should be'}")
    for name in expert_names():
        state, fix = _diagnosis(name, folder)
        print_line(console, f"{name:12} {state}{fix and ': '}{fix}")
    print_next(console, command("extract", "VIDEOS", "--preset", "offline"))
    return problem is None


def _diagnosis(name: str, folder: Path | None) -> tuple[str, str]:
    try:
        expert = make_expert(name)
        expert.check_installed()
    except (MarqueeError, ImportError) as error:
        return "no", str(error)
    missing = [file.name for file in expert.weights() if not _weight_state(file, folder)[1]]
    if missing:
        return "no weights", f"{command('weights', '--experts', name, '--fetch')} ({', '.join(missing)})"
    return "yes", ""


def _weight_state(file: WeightFile, folder: Path | None) -> tuple[str, bool]:
    try:
        found = check(file, folder)
    except MarqueeError as error:
        return str(error), False
    if found is None:
        return f"missing; from {source_text(file.url)}", False
    kind = "published" if found.published else "your own (not a published hash)"
    return f"{found.path}, sha256 {found.sha256[:12]}, {kind}", True

"""Which OpenCV is installed: four distributions share the one folder ``cv2``, and the last one wins.

scenedetect brings ``opencv-python``, rapidocr ``opencv-python-headless``; this project wants
``opencv-contrib-python-headless``: it needs no display libraries and has TV-L1 (``cv2.optflow``).
"""

from __future__ import annotations

import csv
import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

from extract.errors import typed

WANTED = "opencv-contrib-python-headless"
DISTRIBUTIONS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", WANTED)


def installed_opencv(path: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """(distribution, version) of every OpenCV wheel on ``path`` (default: ``sys.path``), sorted."""
    return sorted({(name, d.version) for name, d in _distributions(path)})


def check(path: Sequence[str] | None = None) -> str | None:
    """What is wrong with OpenCV here, with the commands that fix it; None if all is well.

    Finds several distributions, a ``cv2`` folder whose files are not those of the distribution that
    claims them (one was installed over another, or uninstalled under it), a ``cv2`` that cannot be
    imported (opencv-python without libGL), and one without TV-L1. ``path`` as in
    :func:`installed_opencv`; with it given, nothing is imported.
    """
    installed = installed_opencv(path)
    if not installed:
        return f"OpenCV is not installed; run: {_fix(installed)}"
    names = ", ".join(f"{name} {version}" for name, version in installed)
    if len(installed) > 1:
        return f"{len(installed)} OpenCV distributions share the folder cv2 ({names}); run: {_fix(installed)}"
    damaged = _damaged(path)
    if damaged:
        return f"the folder cv2 is not that of {names}: {damaged} differs; run: {_fix(installed)}"
    problem = _import_problem() if path is None else None
    return f"{names}: {problem}; run: {_fix(installed)}" if problem else None


def _distributions(path: Sequence[str] | None) -> list[tuple[str, importlib.metadata.Distribution]]:
    found = [
        ((d.metadata["Name"] or "").lower().replace("_", "-"), d)
        for d in importlib.metadata.distributions(path=list(sys.path if path is None else path))
    ]
    return [(name, d) for name, d in found if name in DISTRIBUTIONS]


def _damaged(path: Sequence[str] | None) -> str | None:
    """The first file under cv2 that is absent or has another size than its distribution says."""
    for _, distribution in _distributions(path):
        # not distribution.files: newer versions of importlib.metadata leave absent files out of it
        for name, _hash, size in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
            if not name.startswith("cv2/") or not size:
                continue
            here = Path(str(distribution.locate_file(name)))
            if not here.is_file() or here.stat().st_size != int(size):
                return name
    return None


def _import_problem() -> str | None:
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        return f"import cv2 fails ({error})"
    return None if hasattr(cv2, "optflow") else "cv2.optflow (TV-L1) is missing, contrib builds have it"


def _fix(installed: Sequence[tuple[str, str]]) -> str:
    """Remove all, then install one: at its own version if it is there, else at the newest one here."""
    versions = dict(installed)
    newest = max(versions.values(), key=lambda v: [int(n) for n in v.split(".") if n.isdigit()], default="")
    version = versions.get(WANTED, newest)
    pip = f"{typed('python', sys.executable)} -m pip"
    install = f"{pip} install --no-deps {WANTED}{'==' if version else ''}{version}"
    if not installed:
        return install
    return f"{pip} uninstall --yes {' '.join(name for name, _ in installed)} && {install}"

"""The check that exactly one OpenCV is there, on made-up site-packages folders."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from extract import opencv

Install = Callable[..., None]
HEADLESS = "opencv-contrib-python-headless"


@pytest.fixture
def install(tmp_path: Path) -> Install:
    def make(name: str, version: str = "5.0.0.93", content: str = "binary") -> None:
        """What pip leaves: a dist-info with its RECORD, and the shared cv2 folder, overwritten."""
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text(f"cv2/cv2.abi3.so,sha256=x,{len(content)}\n{info.name}/RECORD,,\n")
        (tmp_path / "cv2").mkdir(exist_ok=True)
        (tmp_path / "cv2" / "cv2.abi3.so").write_text(content)

    return make


def check(folder: Path) -> str:
    problem = opencv.check([str(folder)])
    assert problem is not None
    return problem


def test_one_is_well(tmp_path: Path, install: Install) -> None:
    install("opencv_contrib_python_headless")
    assert opencv.installed_opencv([str(tmp_path)]) == [(HEADLESS, "5.0.0.93")]
    assert opencv.check([str(tmp_path)]) is None


def test_none_is_said(tmp_path: Path) -> None:
    assert check(tmp_path) == f"OpenCV is not installed; run: python -m pip install --no-deps {HEADLESS}"


def test_several_are_named_with_the_commands_that_mend_it(tmp_path: Path, install: Install) -> None:
    install(HEADLESS, "4.9.0.80")
    install("opencv-python", "5.0.0.93", content="other")
    problem = check(tmp_path)
    assert problem.startswith("2 OpenCV distributions share the folder cv2")
    assert problem.endswith(
        f"run: python -m pip uninstall --yes {HEADLESS} opencv-python"
        f" && python -m pip install --no-deps {HEADLESS}==4.9.0.80"
    )


def test_without_the_wanted_one_its_newest_sister_gives_the_version(tmp_path: Path, install: Install) -> None:
    install("opencv-python", "4.9.0.80")
    install("opencv-python-headless", "4.10.0.84")
    assert check(tmp_path).endswith(f"{HEADLESS}==4.10.0.84")


def test_files_of_another_build_are_seen(tmp_path: Path, install: Install) -> None:
    install(HEADLESS)
    (tmp_path / "cv2" / "cv2.abi3.so").write_text("left over from another build")
    assert "cv2/cv2.abi3.so differs" in check(tmp_path)
    (tmp_path / "cv2" / "cv2.abi3.so").unlink()  # uninstalling one takes the other's files along
    assert "cv2/cv2.abi3.so differs" in check(tmp_path)


@pytest.fixture
def alone(tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """One distribution, on a ``sys.path`` of its own, as the running interpreter has it."""
    install(HEADLESS)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])


@pytest.mark.usefixtures("alone")
def test_an_import_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> ModuleType:
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(importlib, "import_module", fail)
    problem = opencv.check()
    assert problem is not None and "libGL.so.1" in problem and "pip uninstall" in problem


@pytest.mark.usefixtures("alone")
def test_a_build_without_tvl1_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    cv2 = ModuleType("cv2")
    monkeypatch.setattr(importlib, "import_module", lambda name: cv2)
    problem = opencv.check()
    assert problem is not None and "cv2.optflow" in problem
    cv2.__dict__["optflow"] = None
    assert opencv.check() is None

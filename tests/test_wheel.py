"""The built wheel, outside the checkout: it brings `marquee` and all files that the code reads at run time.

Its dependencies are those of this environment; `make wheel-test` installs them too, in empty environments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
INPUTS = ("extract", "pipeline", "train", "pyproject.toml", "README.md", "LICENSE")

pytestmark = pytest.mark.slow


def run(*command: str | Path, folder: Path) -> str:
    names = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=names, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment with the wheel, which finds other packages in this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in INPUTS:  # a copy, because a build leaves files in its tree
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    built = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    run(*pip, "--quiet", *built, folder=folder)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.startswith(f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}-")
    environment = folder / "environment"
    venv.create(environment)
    python = environment / "bin" / "python"
    run(*pip, "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel, folder=folder)
    (packages,) = environment.glob("lib/python*/site-packages")
    # A folder of a .pth file is searched last, and the .pth files in it are not read: no editable install.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


def test_the_installed_command_names_its_version_and_its_commands(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "marquee", "--version", folder=tmp_path) == f"marquee {PROJECT['version']}\n"
    listed = run(installed / "marquee", "--help", folder=tmp_path)
    assert "extract" in listed and "train" in listed


def test_presets_models_and_templates_are_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = """
import extract, pipeline.settings, train.registry, train.settings
from pathlib import Path
print(Path(extract.__file__).parents[1])
print(*pipeline.settings.preset_names())
print(*train.settings.preset_names())
print(*(path.name for path in sorted(Path(train.__path__[0], "views", "templates").iterdir())))
"""
    where, *names = run(installed / "python", "-c", code, folder=tmp_path).splitlines()
    assert Path(where).is_relative_to(installed.parent)
    here = ("pipeline/presets", "train/presets")
    presets = [
        sorted(
            path.relative_to(ROOT / folder).with_suffix("").as_posix()
            for path in (ROOT / folder).rglob("*.toml")
        )
        for folder in here
    ]
    templates = sorted(path.name for path in (ROOT / "train/views/templates").iterdir())
    assert [line.split() for line in names] == [*presets, templates]


def test_it_extracts_a_film_by_its_name_alone(
    installed: Path, tmp_path: Path, small_trailers: list[Path]
) -> None:
    shutil.copy(small_trailers[0], tmp_path / "film.mp4")
    told = run(
        installed / "marquee", "extract", "film.mp4", "--experts", "scenes", "--detector", "content",
        folder=tmp_path,
    )  # fmt: skip
    assert "1 video in features" in told
    assert list((tmp_path / "features" / "scenes").glob("part-00000-*.parquet"))

"""Every Python and SQL snippet of README and docs runs as it is printed, in a folder with what it names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import pipeline
from tests.fixtures.genre_store import genre_store

ROOT = Path(__file__).parents[1]
ELSEWHERE = "CONTRIBUTING.md"  # its example is an expert: test_repository.py runs it

pytestmark = pytest.mark.slow


def snippets() -> list[Any]:
    found = []
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))):
        text = path.read_text("utf-8")
        for match in re.finditer(r"^```(python|sql)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text[: match.start()].count("\n") + 2
            found.append(pytest.param(match[1], match[2], id=f"{path.relative_to(ROOT)}:{line}"))
    return found


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory, small_trailers: list[Path]) -> Path:
    """The folder of a user after the first command: ``videos``, ``trailer.mp4``, ``features``."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "videos").mkdir()
    shutil.copy(small_trailers[0], folder / "videos" / "a.mp4")
    shutil.copy(small_trailers[1], folder / "trailer.mp4")
    pipeline.run(folder / "videos", folder / "features", preset="offline", device="cpu")
    return folder


def prepared(code: str, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Mapping[str, Any]]:
    """The folder and the names that a snippet speaks of."""
    if "prepare(" in code and shutil.which("ffmpeg") is None:
        pytest.skip("prepare needs a system FFmpeg")
    if "train" in code:
        features, _ = genre_store(tmp_path)
        shutil.copytree(features, tmp_path / "other-features")
        return tmp_path, {}
    if "tvl1(" in code:
        import torch

        return tmp_path, {name: torch.rand(1, 16, 20) for name in ("first", "second")}
    return request.getfixturevalue("extracted"), {}


@pytest.mark.parametrize(("language", "code"), snippets())
def test_a_snippet_runs_as_it_is_printed(
    language: str, code: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = prepared(code, request, tmp_path)
    monkeypatch.chdir(folder)
    if language == "sql":
        import duckdb

        assert duckdb.sql(code) is not None
        return
    there = dict(names)
    exec(compile(code, "snippet", "exec"), there)
    if "titles" in there:  # in the order in which they are read
        titles = there["titles"]
        assert titles["video_id"].tolist() == sorted(titles["video_id"].tolist())


def test_the_snippets_are_seen() -> None:
    assert len(snippets()) > 5

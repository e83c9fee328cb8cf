"""Snippets of README and docs: Python and SQL run as printed, commands and their flags exist."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.cli.marquee import COMMANDS, load
from tests.fixtures.genre_store import genre_store

ROOT = Path(__file__).parents[1]
ELSEWHERE = "CONTRIBUTING.md"  # its example is an expert: test_repository.py runs it


def blocks(languages: str) -> Iterator[tuple[str, str, str]]:
    """Language, text, and where it stands."""
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))):
        text = path.read_text("utf-8")
        for match in re.finditer(rf"^```({languages})\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text[: match.start()].count("\n") + 2
            yield match[1], match[2], f"{path.relative_to(ROOT)}:{line}"


def snippets() -> list[Any]:
    return [
        pytest.param(language, code, id=where)
        for language, code, where in blocks("python|sql")
        if not where.startswith("docs/tutorial.md")  # a notebook: tests/bench/test_tutorial.py runs it
    ]


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
        genre_store(tmp_path)
        return tmp_path, {}
    if "class_scores" in code:
        shutil.copytree(request.getfixturevalue("extracted") / "videos", tmp_path / "videos")
        options: Any = {"places": {"classes": 5}, "scenes": {"detector": "content"}}
        named: Any = {"experts": ["places"], "options": options, "random_seed": 0, "device": "cpu"}
        pipeline.run(tmp_path / "videos", tmp_path / "features", **named)
        return tmp_path, {}
    if "tvl1(" in code:
        import torch

        return tmp_path, {name: torch.rand(1, 16, 20) for name in ("first", "second")}
    return request.getfixturevalue("extracted"), {}


@pytest.mark.slow
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


def flags(command: Any, words: list[str]) -> set[str]:
    """Of a command, and of those below it that the words name."""
    below = [found for name, found in getattr(command, "commands", {}).items() if name in words]
    own = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    return own.union(*(flags(found, words) for found in below))


def command_of(line: str) -> list[str]:
    """The words of a command of ours, its name first; of any other line, none."""
    words = shlex.split(line, comments=True)
    if words[:2] == ["python", "-m"] and words[2] in ("extract", "train"):
        words = words[2:] if words[2] == "train" or words[3] not in COMMANDS else words[3:]
    elif words[:1] == ["marquee"]:
        words = words[1:]
    else:
        return []
    return [] if words[0].startswith("-") else words


def test_commands_of_snippets_exist_with_their_flags() -> None:
    seen = 0
    for _, code, where in blocks("sh"):
        for line in code.replace("\\\n", " ").splitlines():
            if words := command_of(line):
                assert words[0] in COMMANDS, f"{where}: {line}"
                asked = {word.partition("=")[0] for word in words if word.startswith("--")}
                assert asked <= flags(load(words[0]), words), f"{where}: {line}"
                seen += 1
    assert seen > 50

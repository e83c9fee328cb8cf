"""The documents agree with the code: experts, targets, extras, links, the one OpenCV, the example."""

from __future__ import annotations

import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from extract import registry
from extract.errors import DISTRIBUTION
from extract.expert import PassThrough
from extract.types import Frame, MediaInfo, Scene

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/*.md")])
ELSEWHERE = ("http://", "https://", "mailto:")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def requirements(name: str) -> dict[str, str]:
    lines = [line for line in text(name).splitlines() if line and not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def expert_rows() -> dict[str, str]:
    """The rows of README's table of experts, by the name in their first cell."""
    section = text("README.md").partition("\n## Experts\n")[2].partition("\n### ")[0]
    return dict(re.findall(r"^\| `(\w+)` \|(.*)$", section, re.MULTILINE))


def test_readme_lists_exactly_the_experts() -> None:
    assert list(expert_rows()) == registry.expert_names(), 'README.md, "Experts": a row for each, by name'


@pytest.mark.parametrize("name", registry.expert_names())
def test_readme_names_every_table_and_column(name: str) -> None:
    tables = registry.make_expert(name).tables()
    columns = {column.name for spec in tables.values() for column in spec.columns}
    vectors = {"embedding"} if any(spec.embedding for spec in tables.values()) else set()
    assert name in expert_rows(), f'README.md, "Experts": add a row that begins | `{name}` |'
    cells = expert_rows()[name].split("|")
    named = set(re.findall(r"`([a-z0-9_]+)`", cells[3] if len(cells) > 3 else ""))
    wanted = tables.keys() | columns | vectors
    assert named == wanted, f'README.md, "Experts", row {name}, last cell: name {", ".join(sorted(wanted))}'


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    assert {"setup", "demo", "test", "lint", "types", "bench", "clean"} <= targets
    for document in DOCUMENTS:
        # As a command: at the start of a line, or of code in a sentence.
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, document.name


@cache
def anchors(document: Path) -> frozenset[str]:
    """Of the headings, as GitHub and the docs site make them."""
    prose = re.sub(r"(?ms)^ *```.*?^ *```", "", document.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if not link.startswith(ELSEWHERE):
            name, _, anchor = link.partition("#")
            path = (document.parent / name).resolve() if name else document
            assert path.exists(), link
            assert not anchor or anchor in anchors(path), link


def test_the_site_has_every_page() -> None:
    """In its navigation; a page that no `toctree` names would not be found."""
    index = text("docs/index.md")
    listed = set(re.findall(r"^(?:[\w ]+ <)?(/?[\w/]+?)>?$", index, re.MULTILINE))
    pages = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert pages - listed == {"index"}, "name it in a `toctree` of docs/index.md"


def test_constraints_hold_one_opencv_and_pin_exactly() -> None:
    pinned = requirements("constraints.txt")
    assert [name for name in pinned if name.startswith("opencv")] == ["opencv-contrib-python-headless"]
    assert all(re.fullmatch(r"[\w.+]+", version) for version in pinned.values())


# What the tests do not install: a second framework, what needs a GPU, what needs an account.
UNTRIED = {"paddleocr", "gpus", "wandb"}


def test_constraints_cover_what_is_declared() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    declared = [
        *project["dependencies"],
        *(r for name, rs in extras.items() if name not in UNTRIED for r in rs),
    ]
    names = {re.split(r"[\[<>=~ ]", requirement)[0].lower() for requirement in declared} - {DISTRIBUTION}
    pinned = {name.lower().replace("_", "-") for name in requirements("constraints.txt")}
    assert names - pinned == set()


@pytest.mark.parametrize("folder", ["extract", "pipeline", "train", "bench", "tests"])
def test_what_is_imported_is_declared(folder: str) -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {re.split(r"[\[<>=~ ]", requirement)[0].lower() for group in groups for requirement in group}
    distributions = packages_distributions()
    undeclared = set()
    for path in ROOT.glob(f"{folder}/**/*.py"):
        for name in re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            names = {d.lower().replace("_", "-") for d in distributions.get(name, [])}
            if names and not names & (declared | {DISTRIBUTION}):
                undeclared.add((str(path.relative_to(ROOT)), name))
    assert undeclared == set()


def test_every_extra_that_is_named_exists() -> None:
    extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"].keys()
    missing = [name for name in registry.expert_names() if name not in extras]
    assert not missing, (
        "marquee-video[EXPERT] is right for every expert; [project.optional-dependencies]: add "
        + "; ".join(f"{name} = [what its packages need, or nothing]" for name in missing)
    )
    named = {
        (name, p.extra) for name in registry.expert_names() for p in registry.expert_class(name).packages
    }
    for path in [*DOCUMENTS, *ROOT.glob("extract/**/*.py"), *ROOT.glob("pipeline/**/*.py")]:
        written = re.findall(
            r"marquee-video\[([a-z0-9,]+)\]|to_install\(['\"](\w+)", path.read_text(encoding="utf-8")
        )
        named |= {(path.name, extra) for one in written for extra in ",".join(one).strip(",").split(",")}
    assert {(where, extra) for where, extra in named if extra not in extras} == set()


def test_the_tests_that_results_name_are_there() -> None:
    """Whole names of files or functions; those that end with ... are the beginning of one."""
    named = re.findall(r"`(test_\w+?)(?:\.py)?(_\.\.\.)?`", text("docs/results.md"))
    files = list(ROOT.glob("tests/**/test_*.py"))
    functions = re.findall(r"^def (test_\w+)", "\n".join(map(Path.read_text, files)), re.MULTILINE)
    there = {*functions, *(path.stem for path in files)}
    lacks = [
        name
        for name, more in named
        if not (any(one.startswith(name) for one in there) if more else name in there)
    ]
    assert len(named) > 100 and not lacks


def test_the_example_of_contributing_is_an_expert(monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(
        c for c in re.findall(r"```python\n(.*?)```", text("CONTRIBUTING.md"), re.DOTALL) if "Expert" in c
    )
    module = ModuleType("extract.experts.brightness")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, "CONTRIBUTING.md", "exec"), module.__dict__)
    expert = module.Brightness()
    assert expert.name == "brightness" and expert.streams().keyframes and expert.follows_scenes

    scene = Scene(3, 10, 20, 1.0, 2.0, 15, 15, 1.5, 1.6)
    half_white = np.zeros((4, 6, 3), np.uint8)
    half_white[:2] = 255
    media = MediaInfo("x.mp4", 1, "mov", 2.0, has_video=True, has_audio=False)
    items = list(expert.tap(media).scene(scene, Frame(half_white, 15, 1.5, 1.6)))
    ((row,),) = PassThrough()(items)
    assert row == {"start_seconds": 1.5, "end_seconds": 1.6, "scene": 3, "brightness": 0.5}
    (spec,) = expert.tables().values()
    assert [column.name for column in spec.columns] == ["scene", "brightness"]

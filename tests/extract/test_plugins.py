"""Plugins are found by the names of their files, imported when used, and unknown ones are explained."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from extract.errors import UsageError
from extract.plugins import Plugins


class Tool:
    pass


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Plugins]:
    """A package of two folders, as ``MARQUEE_EXPERTS`` makes one."""
    package = ModuleType("tools_of_a_test")
    package.__path__ = [str(tmp_path / "ours"), str(tmp_path / "theirs")]
    for folder in package.__path__:
        Path(folder).mkdir()
    sys.modules[package.__name__] = package
    head = "from tests.extract.test_plugins import Tool\n"
    (tmp_path / "ours" / "round_saw.py").write_text(f"{head}class Saw(Tool): pass\nTEETH = 3\n")
    (tmp_path / "ours" / "_base.py").write_text("raise RuntimeError")
    (tmp_path / "theirs" / "file.py").write_text(head)
    (tmp_path / "theirs" / "twice.py").write_text(f"{head}class A(Tool): pass\nclass B(Tool): pass\n")
    yield Plugins(package, "tool", dashes=True)
    for name in [name for name in sys.modules if name.startswith(package.__name__)]:
        del sys.modules[name]


def test_all_folders_are_listed_and_nothing_is_imported(tools: Plugins) -> None:
    assert tools.names() == ["file", "round-saw", "twice"]
    assert not [name for name in sys.modules if name.startswith("tools_of_a_test.")]


def test_the_class_and_the_attribute_of_a_file(tools: Plugins) -> None:
    assert tools.subclass("round-saw", Tool).__name__ == "Saw"
    assert tools.attribute("round-saw", "TEETH") == 3


@pytest.mark.parametrize("name", ["round-sav", "round_saw"])
def test_an_unknown_name_is_answered_with_all(tools: Plugins, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        tools.module(name)
    assert str(caught.value) == (
        f"no tool {name!r}; there are file, round-saw, twice; did you mean 'round-saw'?"
    )


@pytest.mark.parametrize(("name", "found"), [("file", 0), ("twice", 2)])
def test_a_file_has_one_class_of_the_kind(tools: Plugins, name: str, found: int) -> None:
    with pytest.raises(TypeError, match=f"must define one Tool subclass, found {found}"):
        tools.subclass(name, Tool)
    with pytest.raises(TypeError, match="must define TEETH"):
        tools.attribute(name, "TEETH")

"""The one module that expert files import from: what is documented is there, and loads no torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from extract import expert

ROOT = Path(__file__).parents[2]
OUTSIDE = sorted([*ROOT.glob("tests/fixtures/experts/*.py"), *ROOT.glob("bench/experts/*.py")])


def documented() -> set[str]:
    section = (ROOT / "CONTRIBUTING.md").read_text().split("\n### What an expert file imports\n")[1]
    table = section.partition("\n## ")[0].partition("\n|")[2]
    return set(re.findall(r"`(\w+)`", table))


def test_the_documented_names_are_those_of_the_module() -> None:
    assert documented() == set(expert.__all__)


@pytest.mark.parametrize("name", sorted(expert.__all__))
def test_a_documented_name_can_be_imported(name: str) -> None:
    assert getattr(expert, name) is not None


def test_other_names_are_refused_as_by_any_module() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Expet'"):
        exec("from extract.expert import Expet")


def test_all_names_together_import_no_torch() -> None:
    code = "import sys; from extract.expert import *; fill, PictureExpert; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path.name)
def test_experts_outside_the_package_import_nothing_else_of_it(path: Path) -> None:
    modules = {
        node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
    }
    assert {name for name in modules if name and name.startswith("extract")} == {"extract.expert"}

"""What is exported has a docstring with arguments, errors and an example; the examples run as printed."""

from __future__ import annotations

import doctest
import inspect
import re
import shutil
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import extract
import pipeline
import train
from tests.fixtures.clips import write_clip

ROOT = Path(__file__).parents[1]
# Examples of one module go on in one folder, in this order.
NAMES = {
    extract: ["video"],
    pipeline: [
        "run", "read", "dataset", "Store", "Cluster", "RunReport", "RunProgress", "RunConfig", "run_config",
    ],
    train: [
        "fit", "predict_store", "predict_videos", "Prediction", "RunFolder", "compare", "search", "finetune",
    ],
}  # fmt: skip
PUBLIC = [
    pytest.param(module, name, id=f"{module.__name__}.{name}") for module in NAMES for name in NAMES[module]
]
RAISE_NOTHING = {"RunProgress", "RunReport", "Prediction"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``trailer.mp4``, ``videos`` of two genres, ``labels.csv``."""
    made = tmp_path_factory.mktemp("examples")
    (made / "videos").mkdir()
    for name, shot in (("trailer", 24), ("fast", 16), ("slow", 24)):  # in frames, of 48
        write_clip(made / f"{name}.mp4", pictures=[6 * (i // shot) for i in range(48)])
    lines = ["video_id,genres"]
    for i in range(12):
        for genre in ("fast", "slow"):
            shutil.copy(made / f"{genre}.mp4", made / "videos" / f"{genre}{i}.mp4")
            lines.append(f"{genre}{i},{genre}")
    (made / "labels.csv").write_text("\n".join(lines))
    return made


@pytest.mark.parametrize("module", NAMES)
def test_every_exported_name_is_here(module: Any) -> None:
    assert sorted(NAMES[module]) == sorted(module.__all__)


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_docstrings_say_what_is_needed(module: Any, name: str) -> None:
    found = getattr(module, name)
    said = inspect.getdoc(found) or ""
    if is_dataclass(found):
        own = [field.name for field in fields(found) if field.name in found.__annotations__]
        asked = [name for name in own if not name.startswith("_")]
    else:
        asked = list(inspect.signature(found).parameters)
    missing = [f"what {one} is" for one in asked if f"{one}: " not in said and f"``{one}``" not in said]
    missing += [] if "Raises" in said or name in RAISE_NOTHING else ["what it raises"]
    missing += [] if ">>> " in said else ["an example"]
    assert not missing, f"the docstring of {module.__name__}.{name} lacks {', '.join(missing)}"
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert re.search(rf"^\.\. auto\w+:: {module.__name__}.{name}$", page, re.MULTILINE), "docs/api.md"


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_an_example_runs_as_it_is_printed(
    module: Any, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    found = getattr(module, name)
    text = inspect.getdoc(found) or ""
    parsed = doctest.DocTestParser().get_doctest(text, {"Path": Path}, name, None, None)
    said: list[str] = []
    result = doctest.DocTestRunner().run(parsed, out=said.append)
    assert result.attempted and not result.failed, "".join(said)

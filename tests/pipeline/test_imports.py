"""Reading a store loads nothing that makes one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.store.layout import open_store
from tests.fixtures.fresh_process import loaded_after, loaded_by

LIBRARIES = (
    "av.", "cv2.", "dask.", "distributed.", "numba.", "onnxruntime.", "torch.", "transformers."
)  # fmt: skip
THAT_EXTRACTS = (
    "extract.decoder.", "extract.detectors.", "extract.engine.", "extract.experts.", "extract.media.",
    "extract.nets.", "extract.ops.", "extract.weights.", "pipeline.copies.", "pipeline.work.", *LIBRARIES,
)  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "import pipeline",
        "from pipeline import read",
        "import pipeline.store.reading",
        "import pipeline.store.status",
        "import pipeline.store.verify",
    ],
)
def test_reading_loads_nothing_that_extracts(statement: str) -> None:
    assert [name for name in loaded_after(statement) if f"{name}.".startswith(THAT_EXTRACTS)] == []


@pytest.mark.parametrize("command_line", ["pipeline.cli.commands", "train.cli.commands"])
def test_help_loads_no_library_of_numbers(command_line: str) -> None:
    heavy = ("numpy.", "pyarrow.", *LIBRARIES)
    found = loaded_after(f"import {command_line} as c; c.app(['--help'], standalone_mode=False)")
    assert [name for name in found if f"{name}.".startswith(heavy)] == []


def test_status_of_a_store_loads_no_library_that_extracts(tmp_path: Path) -> None:
    open_store(tmp_path, create=True).record_run([], options={}, versions={}, started="")
    asked = f"import pipeline.cli.commands as c; c.app(['status', {str(tmp_path)!r}], standalone_mode=False)"
    assert [name for name in loaded_after(asked) if f"{name}.".startswith(LIBRARIES)] == []


def test_the_package_itself_loads_no_library() -> None:
    assert not {"numpy", "pyarrow"} & set(loaded_by("pipeline"))

"""Reading a store loads nothing that makes one."""

from __future__ import annotations

import pytest

from tests.fixtures.fresh_process import loaded_after, loaded_by

THAT_EXTRACTS = (
    "extract.decoder.", "extract.detectors.", "extract.engine.", "extract.experts.", "extract.media.",
    "extract.nets.", "extract.ops.", "extract.weights.", "pipeline.copies.", "pipeline.work.",
    "av.", "cv2.", "dask.", "distributed.", "numba.", "torch.", "transformers.",
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


def test_the_package_itself_loads_no_library() -> None:
    assert not {"numpy", "pyarrow"} & set(loaded_by("pipeline"))

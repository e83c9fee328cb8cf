"""What tests of trainings and of whole grids share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.genre_store import genre_store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ``features`` and ``labels.csv`` are."""
    made = tmp_path_factory.mktemp("store")
    genre_store(made)
    return made


@pytest.fixture(scope="module")
def no_curves() -> Iterator[None]:
    """Leave the precision-recall pictures of single runs empty: they take most of an evaluation's time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pooled_curve", "genre_curves"):
            patch.setattr(f"train.evaluation.curves.{name}", lambda evaluation: b"")
        yield

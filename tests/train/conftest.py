"""What tests of whole grids share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def no_curves() -> Iterator[None]:
    """Leave the precision-recall pictures of single runs empty: they take most of an evaluation's time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pooled_curve", "genre_curves"):
            patch.setattr(f"train.figures.{name}", lambda evaluation: b"")
        yield

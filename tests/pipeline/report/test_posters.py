"""A poster is the picture nearest to the middle that shows something."""

from __future__ import annotations

import base64
import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline.report.posters import poster, posters_of
from pipeline.store.layout import Store
from tests.pipeline.report.conftest import FILM, still

DARK, RED, BLUE = (5, 5, 5), (200, 30, 30), (30, 30, 200)


@pytest.mark.parametrize(
    ("colours", "chosen"),
    [([BLUE, RED, BLUE], RED), ([RED, DARK, DARK, DARK], RED), ([DARK, DARK, DARK], DARK)],
)
def test_dark_pictures_are_taken_where_there_are_no_others(
    colours: list[tuple[int, int, int]], chosen: tuple[int, int, int]
) -> None:
    rows = [still(number, float(number), colour) for number, colour in enumerate(colours)]
    with Image.open(io.BytesIO(base64.b64decode(poster(pa.Table.from_pylist(rows))))) as picture:
        assert (picture.format, picture.size) == ("WEBP", (64, 36))
        shown = np.asarray(picture.convert("RGB"), float).mean(axis=(0, 1))
    np.testing.assert_allclose(shown, chosen, atol=12)  # of a JPEG made a WebP


def test_videos_without_pictures_have_no_poster(films: Store) -> None:
    assert posters_of(films, [FILM, "films/c", "films/z"]).keys() == {FILM}

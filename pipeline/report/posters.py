"""A small picture of each video, from the table of the expert ``thumbnails``."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection
from contextlib import suppress

import numpy as np
import pyarrow as pa
from PIL import Image

from pipeline.pages.pictures import NOT_A_PICTURE, opened, placeholder, size_of
from pipeline.report.lanes import luma
from pipeline.report.video_tables import rows_by_video
from pipeline.store.footer import InvalidPart
from pipeline.store.layout import Store
from pipeline.store.reading import current_parts, valid_parts
from pipeline.store.videos import members_of

TABLE = "thumbnails"
_SIDE = 160  # pixels, the longer one
_DARK = 0.12  # luma below which a picture says little


def posters_of(store: Store, video_ids: Collection[str]) -> dict[str, str]:
    """Posters of those of some videos that have pictures; none where the store has no such table."""
    found: dict[str, str] = {}
    wanted = set(video_ids)
    for part, footer in valid_parts(store, current_parts(store, TABLE), members_of(store)):
        here = [name for name, state in footer.videos.items() if state.rows and name in wanted]
        with suppress(InvalidPart):  # a poster is no reason to stop
            rows = rows_by_video(part.path, footer) if here else {}
            found |= {name: poster(rows[name]) for name in here}
    return found


def poster(thumbnails: pa.Table) -> str:
    """A WebP in base64 of the picture nearest to the middle of a video that is not dark, nor damaged."""
    light = luma(thumbnails)
    places = np.arange(len(thumbnails))
    far = np.abs(places - (len(thumbnails) - 1) / 2) + len(thumbnails) * (light < _DARK)
    nearest = (thumbnails["jpeg"][place].as_py() for place in np.argsort(far, kind="stable").tolist())
    small = next(filter(None, map(_decoded, nearest)), None) or placeholder()
    small.thumbnail((_SIDE, _SIDE))
    written = io.BytesIO()
    small.save(written, "WEBP", quality=55)
    return base64.b64encode(written.getvalue()).decode()


def _decoded(jpeg: bytes | None) -> Image.Image | None:
    """At a size of some use; None of a damaged one."""
    if jpeg is None or size_of(jpeg) is None:
        return None
    try:
        with opened(jpeg) as picture:
            picture.draft("RGB", (_SIDE, _SIDE))
            return picture.convert("RGB")
    except NOT_A_PICTURE:
        return None

"""A store's pictures as pages show them: in place of a damaged one a grey one, so that it costs no page."""

from __future__ import annotations

import io
from functools import cache

from PIL import Image

from extract.errors import count

USUAL_SIZE = (160, 90)
_GREY = (128, 128, 128)
_END = b"\xff\xd9"  # end of image (ITU-T T.81, table B.1): what a file that was cut off lacks
# What Pillow raises for files that are none of a picture, or of one that would fill the memory.
NOT_A_PICTURE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def size_of(jpeg: bytes | None) -> tuple[int, int] | None:
    """Width and height; None of a damaged one. Decodes nothing: a corpus has a million of them."""
    if not jpeg or not jpeg.endswith(_END):
        return None
    try:
        with opened(jpeg) as picture:
            return picture.size
    except NOT_A_PICTURE:
        return None


def opened(jpeg: bytes) -> Image.Image:
    """Not decoded yet. No other format is tried: a store may come from anyone."""
    return Image.open(io.BytesIO(jpeg), formats=["JPEG"])


def placeholder(size: tuple[int, int] | None = None) -> Image.Image:
    return Image.new("RGB", size or USUAL_SIZE, _GREY)


def damaged_pictures(number: int) -> str:
    """The line that tells of them."""
    return (
        f"{count(number, 'damaged picture')} shown grey: to make them anew, delete the store's folder "
        "thumbnails and run again"
    )


@cache
def placeholder_jpeg() -> bytes:
    written = io.BytesIO()
    placeholder().save(written, "JPEG")
    return written.getvalue()

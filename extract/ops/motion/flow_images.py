"""Flow as pairs of 8-bit pictures, as denseflow writes them for two-stream networks.

github.com/open-mmlab/denseflow (src/common.cpp): each component is clipped to ±bound and brought to
0..255 linearly, so that no motion lies between 127 and 128; JPEGs have OpenCV's default quality.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

BOUND = 20.0  # pixels
JPEG_QUALITY = 95
NAME_BYTES = 200  # file systems allow 255


def quantise(flow: torch.Tensor) -> torch.Tensor:
    """Pixels, clipped to ±BOUND, to uint8 levels 255 (v + BOUND) / (2 BOUND), half to even; any shape."""
    return (255 * (flow.clamp(-BOUND, BOUND).double() + BOUND) / (2 * BOUND)).round().byte()


def folder_name(path: str | os.PathLike[str]) -> str:
    """The video's name and eight digits of its whole path, which tell videos of one name apart.

    The same from whatever folder a relative path starts. What of a name is not text, and what is over
    200 bytes, is left out.
    """
    digest = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:8]
    name = os.fsencode(Path(path).stem)[:NAME_BYTES].decode(errors="ignore")
    return f"{name}-{digest}"


def write_flow(folder: Path, number: int, flow: NDArray[np.float32]) -> None:
    """``flow`` (2, height, width) as ``flow_x_NUMBER.jpg`` and ``flow_y_NUMBER.jpg``, from 00000 on.

    A picture appears whole, in place of an older one or of a link. Raises OSError where ``folder`` is a link,
    because what is written through one lands elsewhere, or where the disk refuses.
    """
    import torch
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink():
        raise OSError(f"{str(folder)!r} is a link: delete it, or give another folder")
    for axis, levels in zip("xy", quantise(torch.from_numpy(flow)).numpy(), strict=True):
        path = folder / f"flow_{axis}_{number:05d}.jpg"
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".tmp-", delete=False) as file:
            Image.fromarray(levels).save(file, "JPEG", quality=JPEG_QUALITY)
        os.replace(file.name, path)

"""Files of tensors that appear whole or not at all, though their libraries hide what the disk says."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.storage.atomic import atomic


@contextmanager
def whole_tensors(path: Path) -> Iterator[Path]:
    """As :func:`pipeline.storage.atomic.atomic`, for what safetensors writes. Raises StoreError."""
    from safetensors import SafetensorError

    with atomic(path) as temporary:
        try:
            yield temporary
        except SafetensorError as error:  # "I/O error: No space left on device (os error 28)"
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def save_whole(path: Path, contents: Mapping[str, Any]) -> None:
    """By ``torch.save``, whose own errors of a full disk name none. Raises StoreError."""
    import torch

    written = io.BytesIO()
    torch.save(dict(contents), written)
    with atomic(path) as temporary:
        temporary.write_bytes(written.getbuffer())

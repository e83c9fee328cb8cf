"""A kernel that writes where nothing is. Triton is needed to import this."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def write_beyond(pointer: tl.tensor, offset: tl.tensor) -> None:
    tl.store(pointer + offset, 1.0)

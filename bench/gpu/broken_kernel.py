"""A kernel that writes where nothing is. Triton is needed to import this."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator]
def write_beyond(pointer, offset):  # type: ignore[no-untyped-def]
    tl.store(pointer + offset, 1.0)

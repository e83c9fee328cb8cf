#!/usr/bin/env python3
"""Compile the C helper that Triton builds at its first kernel, in the GPU image; no GPU is needed for it.

Prints where it lies. Status 1 and one line where it cannot be compiled, or would be lost with the container.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Triton's own build of its own source; only the library of the driver is left out."""
    from triton.backends import nvidia
    from triton.knobs import cache
    from triton.runtime.build import compile_so_from_file

    sources = Path(next(iter(nvidia.__path__)))
    try:
        helper = compile_so_from_file(
            str(sources / "driver.c"), "cuda_utils", include_dirs=[str(sources / "include")]
        )
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        text = str(error).partition("\n")[0]
        sys.stderr.write(
            f"error: no C compiler that Triton's helper can be built with ({text}): "
            "build the image with APT_PACKAGES='gcc libc6-dev', and 'python3-dev' where Python is Debian's\n"
        )
        return 1
    if not Path(helper).is_relative_to(cache.dir):
        sys.stderr.write(f"error: {helper} does not lie in TRITON_CACHE_DIR {cache.dir}\n")
        return 1
    sys.stdout.write(f"{helper}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

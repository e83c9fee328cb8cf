"""Every network below float32 against itself in float32, on a processor: ``python -m bench.precision``.

Weights are drawn from a seed, items are what the experts' taps make of a rendered trailer of three seconds
and of noise. Printed are the least cosine and the largest relative error of a row's vector, the largest
difference of a single value as a share of the largest value, and how many times as fast it was.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from bench.gpu.measuring import Gauge
from bench.gpu.shown import load, make, many, resources, shown
from bench.gpu.sizes import dry, networks
from bench.gpu.values import Vectors, vectors
from extract.expert import Precision
from extract.types import Item

ITEMS = 4


def compared(gauge: Gauge, name: str, items: Sequence[Item], precision: Precision) -> tuple[Vectors, float]:
    """The rows' vectors, and the processor's seconds that a second pass took."""
    model = load(make(name), resources(gauge, precision, len(items)))
    vectors(model, items[:1])
    began = time.process_time()
    return vectors(model, items), time.process_time() - began


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    depend = [name for name in networks() if make(name).tolerance is not None]
    parser.add_argument("--experts", nargs="+", choices=depend, default=depend)
    parser.add_argument("--precision", choices=get_args(Precision)[1:], default="bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--items", type=int, default=ITEMS, help="default: a batch of the CPU's")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    print("| expert | cosine | relative error | largest difference | times as fast |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        gauge = Gauge("cpu", replace(dry(), experts=tuple(chosen.experts)), Path(folder))
        items = shown(gauge)
        for name in chosen.experts:
            mine = many(items[name], chosen.items)
            whole, seconds = compared(gauge, name, mine, "float32")
            half, half_seconds = compared(gauge, name, mine, chosen.precision)
            lengths = np.linalg.norm(whole, axis=1)
            cosine = ((half * whole).sum(axis=1) / lengths / np.linalg.norm(half, axis=1)).min()
            error = (np.linalg.norm(half - whole, axis=1) / lengths).max()
            value = np.abs(half - whole).max() / np.abs(whole).max()
            print(
                f"| `{name}` | {cosine:.5f} | {error:.2%} | {value:.2%} | {seconds / half_seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Synthetic weights drawn by rule from the key names of a published checkpoint; NumPy alone.

The rule is in README.md beside this file, "The weight rule".
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = dict[str, Any]  # the content of shapes/NAME.json

EMBED = (
    "token_embedding.weight",
    "word_embeddings.weight",
    "position_embeddings.weight",
    "position_embeddings",
    "positional_embedding",
    "class_embedding",
    "cls_token",
    "distillation_token",
    "relative_attention_bias.weight",
)


def draw(key: str, shape: Sequence[int], seed: int, adjust: Sequence[Any] = ()) -> NDArray[Any]:
    """The tensor of a key; ``adjust`` has rows of [glob, factor, offset], the first that matches counts."""
    shape = tuple(shape)
    last = key.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    noise = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()) + seed)).standard_normal(shape)
    if last == "running_mean":
        value = 0.1 * noise
    elif last == "running_var":
        value = 1 + 0.1 * np.abs(noise)
    elif key.endswith(EMBED):
        value = 0.02 * noise
    elif len(shape) <= 1:
        value = 0.01 * noise if key.endswith("bias") else 1 + 0.1 * noise
    else:
        value = noise * math.sqrt(2 / math.prod(shape[1:]))
    for glob, factor, offset in adjust:
        if fnmatchcase(key, glob):
            value = value * factor + offset
            break
    return np.asarray(value, np.float32)


def load_table(path: Path) -> Table:
    table: Table = json.loads(Path(path).read_text(encoding="utf-8"))
    return table


def tensors(
    table: Table,
    seed: int,
    front_end: Callable[[str, str], NDArray[np.float32]] | None = None,
    only: str | None = None,
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The keys and tensors of a table in file order.

    Args:
        table: names, shapes and what the rule needs beside them.
        seed: of the draw.
        front_end: computes the table's ``buffers``, which are not drawn.
        only: a prefix of the keys that are wanted.
    """
    buffers = set(table.get("buffers", ()))
    draw_as, dtypes = table.get("draw_as", {}), table.get("dtypes", {})
    default = dtypes.get("*", "float32")
    for key, shape in table["keys"].items():
        if only and not key.startswith(only):
            continue
        if key in buffers:
            assert front_end is not None, f"{key} is computed, not drawn"
            tensor: NDArray[Any] = front_end(table["front_end"], key)
            assert list(tensor.shape) == list(shape), (key, tensor.shape, shape)
        else:
            tensor = draw(draw_as.get(key, key), shape, seed, table.get("adjust", ()))
        if tensor.dtype.kind == "f":
            tensor = tensor.astype(dtypes.get(key, default))
        yield key, tensor

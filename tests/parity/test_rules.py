"""The rules draw the weights and inputs that the stored vectors were made with."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.parity import front_end, inputs_rule, weights_rule

FOLDER = Path(__file__).parent
INPUTS: dict[str, Any] = json.loads((FOLDER / "inputs_check.json").read_text())
DRAWN: dict[str, Any] = {
    table: keys
    for table, keys in json.loads((FOLDER / "rule_check.json").read_text()).items()
    if isinstance(keys, dict)
}


def checksum(array: NDArray[Any]) -> int:
    """Of the values in row order, little-endian."""
    return zlib.crc32(array.astype(array.dtype.newbyteorder("<")).tobytes())


@pytest.mark.parametrize("name", DRAWN)
def test_weights_are_drawn_as_stored(name: str) -> None:
    table = weights_rule.load_table(FOLDER / "shapes" / f"{name}.json")
    keys = {key: shape for key, shape in table["keys"].items() if key in DRAWN[name]}
    assert keys.keys() == DRAWN[name].keys()
    for key, tensor in weights_rule.tensors({**table, "keys": keys}, 11, front_end.build):
        first, crc = DRAWN[name][key]
        np.testing.assert_allclose(tensor.ravel()[: len(first)], first, rtol=1e-6, err_msg=key)
        assert crc in (checksum(tensor), None), key  # None: computed, not drawn, so only close


@pytest.mark.parametrize("call", INPUTS)
def test_inputs_are_made_as_stored(call: str) -> None:
    shape, dtype, crc = INPUTS[call]
    match = re.fullmatch(r"(\w+)\((.*)\)", call)
    assert match
    made = getattr(inputs_rule, match[1])(*json.loads(f"[{match[2].translate(str.maketrans('()', '[]'))}]"))
    if match[1] == "waveform":
        made = np.rint(made * 32768)  # 16-bit values
    assert list(made.shape) == shape and checksum(made.astype(dtype)) == crc

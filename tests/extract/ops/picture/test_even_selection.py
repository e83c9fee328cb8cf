from __future__ import annotations

import numpy as np
import pytest

from extract.ops.picture.even_selection import EvenSelection


@pytest.mark.parametrize("count", [1, 2, 7, 200])
@pytest.mark.parametrize("length", [0, 1, 5, 6, 7, 8, 13, 14, 15, 100, 399, 400, 401, 3750, 10_007])
def test_things_are_spread_over_a_stream_of_any_length(count: int, length: int) -> None:
    selection: EvenSelection[int] = EvenSelection(count)
    made = 0
    for thing in range(length):
        wanted = selection.wants_next()
        made += wanted
        selection.push(thing if wanted else None)
        assert len(selection._held) < 2 * count
    found = np.array(selection.finish())
    assert len(found) == min(count, length)
    assert (np.diff(found) > 0).all()
    if length > count:
        ideal = (np.arange(count) + 0.5) * length / count
        assert np.abs(found - ideal).max() <= length / count
        assert made <= 2 * count + count * np.log2(length / count)  # the rest is never made
    else:
        assert found.tolist() == list(range(length))


def test_a_count_of_nought_is_refused() -> None:
    with pytest.raises(ValueError, match="count = 0"):
        EvenSelection(0)

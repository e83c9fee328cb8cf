"""Which sequences share a batch."""

from __future__ import annotations

import pytest

from extract.ops.network.sequences import buckets

LENGTHS = [3, 16, 17, 60, 512, 5]


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        # On a CPU a sequence's length alone decides.
        ("cpu", [(16, [0, 1, 5]), (32, [2]), (64, [3]), (512, [4])]),
        # Three of 16 cost 48 tokens more at 32, four of 32 then 128 more at 64; five of 64 wait for no 512.
        ("cuda:0", [(64, [0, 1, 5, 2, 3]), (512, [4])]),
    ],
)
def test_lengths_are_powers_of_two_and_few_on_an_accelerator(
    device: str, expected: list[tuple[int, list[int]]]
) -> None:
    assert buckets(LENGTHS, device=device) == expected
    assert buckets([], device=device) == []


def test_a_sequence_lies_where_it_does_alone_on_a_cpu() -> None:
    together = {place: length for length, places in buckets(LENGTHS, device="cpu") for place in places}
    assert together == {i: buckets([n], device="cpu")[0][0] for i, n in enumerate(LENGTHS)}


def test_many_short_ones_are_not_padded() -> None:
    assert [length for length, _ in buckets([10] * 60 + [300], device="cuda:0")] == [16, 512]

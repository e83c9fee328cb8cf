"""Which steps are chosen, and the order of samples."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extract.errors import UsageError
from train.loading.order import cut, evaluation_order, share, training_order
from train.loading.readahead import Stream
from train.loading.steps import Steps


def test_truncation_keeps_the_first_steps_and_equidistance_the_middles() -> None:
    assert Steps(3).choose(7, draw=(0,)).tolist() == [0, 1, 2]
    assert Steps(3, "equidistant").choose(9, draw=(0,)).tolist() == [1, 4, 7]
    assert Steps(2, "equidistant").choose(3, draw=(0,)).tolist() == [0, 2]
    assert Steps().choose(4, draw=(0,)).tolist() == [0, 1, 2, 3]


def test_a_random_choice_repeats_itself_in_an_epoch_and_changes_with_it() -> None:
    random = Steps(20, "random")
    first = random.choose(100, draw=(7, 0, 99)).tolist()
    assert first == sorted(set(first)) and len(first) == 20
    assert first == random.choose(100, draw=(7, 0, 99)).tolist()
    assert first != random.choose(100, draw=(7, 1, 99)).tolist()
    assert random.choose(20, draw=(0,)).tolist() == list(range(20))


def test_a_stratified_choice_is_one_step_of_each_piece() -> None:
    stratified = Steps(11, "stratified")
    drawn = np.array([stratified.choose(50, draw=(7, epoch, 99)) for epoch in range(400)])
    assert drawn.shape == (400, 11) and (np.diff(drawn, axis=1) > 0).all()
    for piece, steps in enumerate(drawn.T):
        assert set(steps.tolist()) == set(range(piece * 50 // 11, (piece + 1) * 50 // 11))
    assert stratified.choose(7, draw=(0,)).tolist() == list(range(7))


def test_outside_of_training_steps_may_be_chosen_otherwise() -> None:
    training = Steps(20, "random", tested=2)
    assert training.at_test.choose(8, draw=(0,)).tolist() == [2, 6]
    assert Steps(20, "random").at_test == Steps(20, "random")


def test_a_step_may_be_several_rows() -> None:
    assert Steps(2, "equidistant", rows=3).choose(15, draw=(0,)).tolist() == [3, 4, 5, 9, 10, 11]
    assert Steps(2, rows=3).choose(5, draw=(0,)).tolist() == [0, 1, 2, 3, 4], "the last one is not whole"
    assert Steps(2, rows=3).kept(np.array([4, 9])).tolist() == [4, 6]
    random = Steps(4, "random", rows=2).choose(20, draw=(1,))
    assert len(random) == 8 and (random[1::2] - random[::2]).tolist() == [1] * 4


@pytest.mark.parametrize(
    "options",
    [{"cap": 0}, {"how": "last"}, {"tested": 0}, {"rows": 0}, {"columns": ()}, {"columns": ["a", "a"]}],
)
def test_impossible_steps_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Steps(**options)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50)), min_size=1, max_size=80),
    st.integers(1, 200),
    st.integers(0, 5),
)
def test_every_sample_comes_once_in_blocks_that_fit(
    samples: list[tuple[int, int]], block_bytes: int, epoch: int
) -> None:
    shards, sizes = (np.array(values, np.int64) for values in zip(*samples, strict=True))
    training = training_order(shards, sizes, block_bytes=block_bytes, seed=1, epoch=epoch)
    for blocks in (training, evaluation_order(sizes, block_bytes=block_bytes)):
        order = np.concatenate(blocks)
        assert sorted(order.tolist()) == list(range(len(samples)))
        for block in blocks:
            assert len(block) == 1 or sizes[block].sum() <= block_bytes
    again = training_order(shards, sizes, block_bytes=block_bytes, seed=1, epoch=epoch)
    assert all(np.array_equal(a, b) for a, b in zip(training, again, strict=True))


def test_whole_shards_share_a_block_and_are_shuffled_within_it() -> None:
    shards = np.repeat(np.arange(40), 8)
    sizes = np.ones(len(shards), np.int64)
    blocks = training_order(shards, sizes, block_bytes=80, seed=0, epoch=0)
    assert [len(block) for block in blocks] == [80] * 4
    for block in blocks:
        assert len(set(shards[block])) == 10
        assert np.abs(np.diff(shards[block])).astype(bool).mean() > 0.5
    other = training_order(shards, sizes, block_bytes=80, seed=0, epoch=1)
    assert {frozenset(block.tolist()) for block in blocks} != {frozenset(block.tolist()) for block in other}


def test_a_cut_is_a_slice_of_the_order() -> None:
    blocks = [np.array([3, 1]), np.array([4]), np.array([0, 5, 2])]
    order = np.concatenate(blocks).tolist()
    for start in range(7):
        for stop in range(start, 8):
            assert [i for block in cut(blocks, start, stop) for i in block.tolist()] == order[start:stop]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 9])
def test_processes_share_the_order(ranks: int) -> None:
    blocks = [np.arange(0, 4), np.arange(4, 7)]
    even = [np.concatenate(share(blocks, rank=r, ranks=ranks, even=True)).tolist() for r in range(ranks)]
    assert len({len(mine) for mine in even}) == 1
    assert {i for mine in even for i in mine} == set(range(7))
    once = [
        i for r in range(ranks) for b in share(blocks, rank=r, ranks=ranks, even=False) for i in b.tolist()
    ]
    assert once == list(range(7))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cap": 0}, "cap is 0; at least 1 is needed"),
        ({"cap": 2.5}, "cap is 2.5; a whole number is needed"),
        ({"tested": "2"}, "tested is '2'; a whole number is needed"),
        ({"rows": 0}, "rows is 0; at least 1 is needed"),
        ({"mean": "yes"}, "mean is 'yes'; true or false is needed"),
        ({"how": "last"}, "how is 'last'; allowed: truncate, equidistant, random, stratified"),
        ({"columns": "embedding"}, "columns is 'embedding'; a list is needed"),
        ({"columns": ()}, "columns are none; name at least one"),
        ({"most": 3}, "Steps has no field 'most'"),
    ],
)
def test_wrong_steps_are_refused_in_a_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        Steps(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given", [{"batch_size": 0}, {"threads": -1}, {"buffer_bytes": 0.5}, {"steps": {"clip": 3}}, {"seed": -1}]
)
def test_wrong_streams_are_refused_in_a_line(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(given))}.* is .*; .* needed"):
        Stream(**given)

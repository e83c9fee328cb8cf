"""Segments against a count of points, and the draw against what it expects."""

from __future__ import annotations

from math import lcm

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.fixtures.batches import make_batch, pad
from train.layers.segments import Snippets, segment_weights


def shares(steps: int, segments: int) -> NDArray[np.float64]:
    """How many of the points between 0 and ``steps`` that lie in a segment lie in each step."""
    points = lcm(steps, segments)
    counts = np.zeros((segments, steps))
    for point in range(points):  # each the middle of a piece that no border cuts
        counts[point * segments // points, point * steps // points] += 1
    return counts * segments / points


@pytest.mark.parametrize("segments", [1, 3, 8])
def test_the_mean_over_a_segment(segments: int) -> None:
    steps = (5, 1, 0, 8, 3)
    weights = segment_weights(pad(steps), segments, draw=False)
    for video, count in enumerate(steps):
        wanted = np.zeros((segments, max(steps)))
        if count:
            wanted[:, :count] = shares(count, segments)
        np.testing.assert_allclose(weights[video], wanted, atol=1e-6)


def test_a_draw_is_one_step_of_each_segment_and_expects_the_mean() -> None:
    torch.manual_seed(0)
    for steps, segments in ((7, 3), (2, 3), (1, 2)):
        padding = pad([steps] * 4000 + [steps + 2])
        drawn = segment_weights(padding, segments, draw=True)[:4000]
        assert ((drawn == 0) | (drawn == 1)).all() and (drawn.sum(dim=2) == 1).all()
        np.testing.assert_allclose(drawn.mean(dim=0)[:, :steps], shares(steps, segments), atol=0.04)
        assert not drawn[:, :, steps:].any()


def test_experts_are_side_by_side_and_drawn_only_while_training() -> None:
    batch = make_batch({"a": (6, 0), "b": (2, 4)}, {"a": 3, "b": 2})
    snippets = Snippets({"a": 3, "b": 2}, 2).eval()
    out = snippets(batch)
    assert out.shape == (2, 2, 5)
    torch.testing.assert_close(out[0, 1, :3], batch.features["a"][0, 3:].mean(dim=0))
    torch.testing.assert_close(out[0, :, 3:], batch.features["b"][0, :2])
    assert torch.equal(out[1, :, :3], snippets.absent[0].expand(2, 3))
    assert torch.equal(out, snippets(batch))
    drawn = torch.stack([snippets.train()(batch)[0, 0, :3] for _ in range(60)])
    assert {tuple(row) for row in drawn.tolist()} == {
        tuple(row) for row in batch.features["a"][0, :3].tolist()
    }
    assert torch.equal(
        Snippets({"b": 2}, 1, drawn=False)(batch)[0, 0], batch.features["b"][0, :2].mean(dim=0)
    )

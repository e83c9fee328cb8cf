"""Descriptors of flow fields whose motion is known, and against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from extract.ops.motion.flow_descriptors import flow_descriptors


def uniform(dx: float, dy: float) -> torch.Tensor:
    return torch.tensor([dx, dy]).view(1, 2, 1, 1).repeat(1, 1, 10, 12)


@pytest.mark.parametrize(
    ("dx", "dy", "bin_"),
    [
        (0, 0, 0),
        (0.3, 0.1, 0),
        (3, 0.2, 1),
        (3, -0.2, 1),
        (2, 2, 2),
        (0, 5, 3),
        (-1, 0, 5),
        (0, -1, 7),
        (1, -1, 8),
    ],
)
def test_a_pan_has_one_direction_and_nothing_else_moves(dx: float, dy: float, bin_: int) -> None:
    found = flow_descriptors(uniform(dx, dy))
    assert found.histogram[0].tolist() == [float(b == bin_) for b in range(9)]
    assert float(found.magnitude[0]) == pytest.approx(np.hypot(dx, dy))
    assert float(found.motion_content[0]) == 0


def test_what_moves_beside_the_camera_is_counted() -> None:
    flow = uniform(4.0, 0.0).clone()
    flow[0, :, :5, :6] = torch.tensor([4.0, -2.0])[:, None, None]  # a quarter of the picture
    found = flow_descriptors(flow)
    assert float(found.motion_content[0]) == 0.25
    assert found.histogram[0, 1] == 0.75 and found.histogram[0, 8] == 0.25


def test_numpy_agrees() -> None:
    flow = np.random.default_rng(0).normal(0, 2, (3, 2, 40, 50)).astype(np.float32)
    found = flow_descriptors(torch.from_numpy(flow))
    length = np.hypot(flow[:, 0], flow[:, 1])
    np.testing.assert_allclose(found.magnitude, length.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found.histogram.sum(1), 1, rtol=1e-6)
    angle = np.degrees(np.arctan2(flow[:, 1], flow[:, 0])) % 360
    nearest = 1 + np.round(angle / 45).astype(int) % 8
    for i in range(3):
        counts = np.bincount(np.where(length[i] < 0.4, 0, nearest[i]).ravel(), minlength=9)
        np.testing.assert_allclose(found.histogram[i] * 2000, counts, atol=1.5)  # a pixel on an edge


def test_a_field_does_not_depend_on_its_batch() -> None:
    flow = torch.from_numpy(np.random.default_rng(1).normal(0, 2, (4, 2, 120, 160)).astype(np.float32))
    together = flow_descriptors(flow)
    for i in range(4):
        alone = flow_descriptors(flow[i : i + 1])
        assert torch.equal(alone.magnitude[0], together.magnitude[i])
        assert torch.equal(alone.histogram[0], together.histogram[i])
        assert torch.equal(alone.motion_content[0], together.motion_content[i])

"""What a field of optical flow says about motion: how much, where to, and beside the camera's.

Fields are float32 (n, 2, height, width), x to the right and y down, in pixels from one frame to
the next: give all films at one size. Pixels are counted, so a field's values do not depend on the
batch or the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

DIRECTIONS = 8
STILL_PIXELS = 0.4  # below this a pixel has no direction (Wang et al. 2011's "zero bin")
ACTIVE_PIXELS = 1.0


@dataclass(frozen=True)
class FlowDescriptors:
    """Each of n fields: ``magnitude`` and ``motion_content`` (n,), ``histogram`` (n, 1 + DIRECTIONS).

    ``magnitude``: mean length of the flow in pixels.

    ``histogram``: share of pixels that stand still, then of those that move right, down and right,
    down, and so on clockwise, each bin 45 degrees wide around its direction. The sum is 1.

    ``motion_content``: share of pixels whose flow is more than a pixel away from the field's
    median flow, which is the background's, still or moved by the camera. The idea is Rasheed,
    Sheikh and Shah's (2005), who read it from slices instead: :mod:`extract.ops.motion.motion_content`.
    """

    magnitude: torch.Tensor
    histogram: torch.Tensor
    motion_content: torch.Tensor


def flow_descriptors(flow: torch.Tensor) -> FlowDescriptors:
    length = _length(flow)
    pixels = length[0].numel()
    bins = _bins(flow, length)
    counts = torch.stack([(bins == b).sum((1, 2)) for b in range(1 + DIRECTIONS)], dim=1)
    # contiguous: torch's median is wrong where a picture is one value repeated by a stride of 0
    background = flow.flatten(2).contiguous().median(dim=2).values
    active = (_length(flow - background[:, :, None, None]) > ACTIVE_PIXELS).sum((1, 2))
    return FlowDescriptors(
        # In two steps: one sum over a whole field is split by the number of threads.
        magnitude=length.mean(2).mean(1),
        histogram=counts.float() / pixels,
        motion_content=active.float() / pixels,
    )


def _length(flow: torch.Tensor) -> torch.Tensor:
    return torch.sqrt(flow[:, 0] * flow[:, 0] + flow[:, 1] * flow[:, 1])


def _bins(flow: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """0 where still, else 1 + the number of the nearest direction, the first of equals."""
    best = torch.full_like(length, -math.inf)
    nearest = torch.zeros_like(length, dtype=torch.uint8)
    for k in range(DIRECTIONS):
        turn = 2 * math.pi * k / DIRECTIONS
        along = flow[:, 0] * math.cos(turn) + flow[:, 1] * math.sin(turn)
        nearest.masked_fill_(along > best, 1 + k)
        best = torch.maximum(best, along)
    return nearest.masked_fill_(length < STILL_PIXELS, 0)

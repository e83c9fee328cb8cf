"""Work of fixed shapes on a GPU, launched as a whole (CUDA graphs)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

WARM_UPS = 3  # calls before the capture, as PyTorch's notes on CUDA graphs ask for: libraries set up in them


def captured(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """``work`` as one launch on a CUDA device; ``work`` itself elsewhere.

    It must always use the same tensors, in place, and wait for nothing. It runs a few times here, so
    that what it leaves in its tensors has to be reset behind this.
    """
    import torch

    if device.type != "cuda":
        return work
    with torch.cuda.device(device):
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                work()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads go on copying and allocating meanwhile: only this one's calls are restricted.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            work()
    return graph.replay

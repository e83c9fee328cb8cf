"""How a network is run: without gradients, at the wanted precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from extract.types import Precision


@contextmanager
def inference(device: str, precision: Precision) -> Iterator[None]:
    """Torch without gradients; below float32, convolutions and products run under autocast.

    Weights stay float32 then, and so do normalisations and softmax, where half precision overflows.
    At float32 an accelerator's shortened TF32 products are off: they change the third digit.
    """
    import torch

    kind = torch.device(device).type
    autocast = (
        nullcontext() if precision == "float32" else torch.autocast(kind, dtype=getattr(torch, precision))
    )
    with torch.inference_mode(), _exact_products(kind), autocast:
        yield


@contextmanager
def _exact_products(kind: str) -> Iterator[None]:
    import torch

    if kind != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before

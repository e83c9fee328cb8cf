"""How a network is run: without gradients, at the wanted precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from extract.options import Precision


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
    with torch.inference_mode(), exact_products(device), autocast:
        yield


@contextmanager
def exact_products(device: str) -> Iterator[None]:
    """No TF32 on a GPU in the meantime, in convolutions and in products; whichever way it was set before.

    PyTorch 2.9 has a setting for each operation (``fp32_precision``), and raises where an older flag is read
    that disagrees with it. Its own cuBLAS calls read the flag of products: that one follows.
    """
    import torch

    backends: Any = torch.backends
    if torch.device(device).type != "cuda":
        yield
        return
    if not hasattr(backends, "fp32_precision"):  # older than 2.9
        flags = backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32 = flags
        return
    operations = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    before = [operation.fp32_precision for operation in operations]
    products: str | None = None
    with suppress(RuntimeError):  # they disagree already
        products = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    for operation in operations:
        operation.fp32_precision = "ieee"
    try:
        yield
    finally:
        if products is not None:
            torch.set_float32_matmul_precision(products)
        for operation, precision in zip(operations, before, strict=True):
            operation.fp32_precision = precision


@contextmanager
def deterministic_convolutions() -> Iterator[None]:
    """The same cuDNN kernels whatever was tried before. (``cudnn.flags`` would read the older TF32 flags.)"""
    from torch.backends import cudnn

    before = cudnn.enabled, cudnn.benchmark, cudnn.deterministic
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = True, False, True
    try:
        yield
    finally:
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = before

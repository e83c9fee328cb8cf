"""How a network is run: on its device, at the wanted precision, without gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from extract.options import Precision

if TYPE_CHECKING:
    import torch

    from extract.declarations import Resources

    Network = TypeVar("Network", bound=torch.nn.Module)


@contextmanager
def inference(device: str) -> Iterator[None]:
    """Torch without gradients, and an accelerator without TF32, whose products change the third digit."""
    import torch

    with torch.inference_mode(), exact_products(device):
        yield


def placed(
    network: Network, resources: Resources, *, float32: tuple[type[torch.nn.Module], ...] = ()
) -> Network:
    """The network itself, ready to be run: on its device, with its parameters in the run's precision.

    They are cast here, once; whoever calls it casts what it is given (:func:`dtype_of`). Batch normalisations
    keep float32, since their variances span more than float16 holds, and take maps of any precision. So do
    the parameters that modules of the types ``float32`` have themselves, and all buffers: the windows and
    filters of front ends.
    """
    from torch.nn import Parameter
    from torch.nn.modules.batchnorm import _BatchNorm

    dtype = dtype_of(resources.precision)
    cast: dict[Parameter, Parameter] = {}  # modules may share one
    for module in network.modules():
        if not isinstance(module, (_BatchNorm, *float32)):
            for name, parameter in [*module._parameters.items()]:
                if parameter is not None and parameter.dtype != dtype:
                    if parameter not in cast:
                        cast[parameter] = Parameter(parameter.detach().to(dtype))
                    module.register_parameter(name, cast[parameter])
    return network.to(resources.device).eval().requires_grad_(False)


def dtype_of(precision: Precision) -> torch.dtype:
    import torch

    dtype: torch.dtype = getattr(torch, precision)
    return dtype


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

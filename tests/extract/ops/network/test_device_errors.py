"""What the errors of devices mean, in the forms that libraries give them; no GPU is needed."""

from __future__ import annotations

import pytest
import torch

from extract.errors import DeviceFault, DeviceUnusable, OutOfDeviceMemory
from extract.ops.network.device_errors import as_device_error, trouble_of

# The lines that PyTorch puts below; they name assertions and variables, and mean nothing.
BELOW = """
Search for `{name}' in https://docs.nvidia.com/cuda/cuda-runtime-api/ for more information.
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace may be wrong.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
"""


def runtime(text: str, name: str) -> RuntimeError:
    kind = getattr(torch, "AcceleratorError", RuntimeError)
    error: RuntimeError = kind(f"CUDA error: {text}{BELOW.format(name=name)}")
    return error


FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79 GiB in all."),
    runtime("out of memory", "cudaErrorMemoryAllocation"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("cuFFT error: CUFFT_INTERNAL_ERROR"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
    RuntimeError("NVRTC_ERROR_OUT_OF_MEMORY"),
    RuntimeError(
        "bfc_arena.cc:376 onnxruntime::BFCArena::AllocateRawInternal(size_t) Failed to allocate memory for 9"
    ),
    RuntimeError("CUDA failed with error out of memory"),
    RuntimeError(
        "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most "
        "recent call last):\nRuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB."
    ),
]
BROKEN = [
    runtime("an illegal memory access was encountered", "cudaErrorIllegalAddress"),
    runtime("device-side assert triggered", "cudaErrorAssert"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDA error: misaligned address"),
    RuntimeError("CUDA error: an illegal instruction was encountered"),
    RuntimeError("CUDA error: the launch timed out and was terminated"),
    RuntimeError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA error: device lost"),
    RuntimeError("CUDA error: unknown error"),
    RuntimeError("CUDA driver error: unknown error"),
    RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS"),
    RuntimeError("cudaErrorLaunchFailure: unspecified launch failure"),
    RuntimeError("CUDA failure 700: an illegal memory access was encountered ; GPU=0"),
    RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
    RuntimeError("Triton Error [CUDA]: unspecified launch failure"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_MAPPING_ERROR"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_INTERNAL_ERROR when calling `cublasSgemm( handle, opa)`"),
    RuntimeError("cuFFT error: CUFFT_EXEC_FAILED"),
    RuntimeError("unspecified launch failure"),
]
UNUSABLE = [
    runtime("no kernel image is available for execution on the device", "cudaErrorNoKernelImageForDevice"),
    RuntimeError("CUDA error: no kernel image is available for execution on the device"),
    RuntimeError("CUDA error: no CUDA-capable device is detected"),
    RuntimeError("CUDA error: invalid device ordinal"),
    RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable"),
    RuntimeError("CUDA driver version is insufficient for CUDA runtime version: cudaErrorInsufficientDriver"),
    RuntimeError("No CUDA GPUs are available"),
    RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"),
    AssertionError("Torch not compiled with CUDA enabled"),
    RuntimeError("Triton Error [CUDA]: device kernel image is invalid"),
    RuntimeError("Failed to find C compiler. Please specify via CC environment variable"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ARCH_MISMATCH when calling `cublasGemmEx`"),
    RuntimeError("nvrtc: error: failed to open libnvrtc-builtins.so.13.0"),
    RuntimeError("out of resource: shared memory, Required: 300000, Hardware limit: 232448."),
]
OTHER = [
    RuntimeError("shapes do not match"),
    runtime("operation not permitted when stream is capturing", "cudaErrorStreamCaptureUnsupported"),
    RuntimeError("CUDA error: operation failed due to a previous error during capture"),
    RuntimeError("cudaErrorStreamCaptureInvalidated"),
    RuntimeError("CUDA error: part or all of the requested memory range is already mapped"),
    RuntimeError("CUDA error: resource already mapped"),
    RuntimeError("CUDA error: invalid configuration argument"),
    RuntimeError("CUDA error: invalid argument"),
    RuntimeError("CUDA error: too many resources requested for launch"),
    RuntimeError("cuDNN error: CUDNN_STATUS_BAD_PARAM"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasSgemm`"),
    RuntimeError("cuFFT error: CUFFT_INVALID_SIZE"),
    MemoryError("of the host"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    OutOfDeviceMemory("one item does not fit into the device's memory (CUDA out of memory.)"),
    ValueError("no device"),
]


def name_of(error: BaseException) -> str:
    return str(error)[:50]


@pytest.mark.parametrize("error", FULL, ids=name_of)
def test_no_room(error: Exception) -> None:
    assert trouble_of(error) == "full"
    assert as_device_error(error) is error


@pytest.mark.parametrize("error", BROKEN, ids=name_of)
def test_a_broken_context_ends_the_process(error: Exception) -> None:
    assert trouble_of(error) == "broken"
    fault = as_device_error(error)
    assert isinstance(fault, DeviceFault) and str(error).partition("\n")[0] in str(fault)
    assert "\n" not in str(fault)


@pytest.mark.parametrize("error", UNUSABLE, ids=name_of)
def test_a_device_that_cannot_be_used_ends_the_run(error: Exception) -> None:
    assert trouble_of(error) == "unusable"
    assert isinstance(as_device_error(error), DeviceUnusable)


@pytest.mark.parametrize("error", OTHER, ids=name_of)
def test_other_errors_are_the_items_own(error: Exception) -> None:
    assert trouble_of(error) is None
    assert as_device_error(error) is error


def test_tritons_own_errors() -> None:
    errors = pytest.importorskip("triton.runtime.errors")
    assert trouble_of(errors.OutOfResources(300_000, 232_448, "shared memory")) == "unusable"


def test_what_an_error_came_from_counts() -> None:
    try:
        try:
            raise RuntimeError("CUDA error: device-side assert triggered")
        except RuntimeError as error:
            raise ValueError("the expert's own words") from error
    except ValueError as wrapped:
        assert trouble_of(wrapped) == "broken"


def test_a_capture_that_found_no_room_found_no_room() -> None:
    """Its end fails too, behind the error that says why."""
    try:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
    except RuntimeError as error:
        assert trouble_of(error) == "full"


def test_a_device_that_is_broken_at_the_start_was_broken_by_no_video() -> None:
    found = as_device_error(RuntimeError("CUDA error: unspecified launch failure"), loading=True)
    assert isinstance(found, DeviceUnusable)

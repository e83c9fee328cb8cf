"""What the errors of a device mean: it has no room, this process has lost it, or nobody can use it.

The one list of the forms that PyTorch, Triton, CUDA and its libraries give them. After most CUDA errors the
context of the process stays broken ("sticky"; CUDA Runtime API, ``cudaError_t``): every later call fails with
the same error, whatever it is given. So what is none of the known others is taken for one of these.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Literal

from extract.errors import DeviceFault, DeviceUnusable, MarqueeError, command

# "full": again with less. "broken": again in another process. "unusable": not here, whatever is asked of it.
Trouble = Literal["full", "broken", "unusable"]

# "CUDA error: an illegal memory access ...", "Triton Error [CUDA]: out of memory", "CUDA failure 700: ..."
_SAID = re.compile(
    r"\b(?:CUDA|HIP|Triton)(?: driver)? (?:error|failure|failed with error)"
    r"(?: \[\w+\])?(?: \d+)?:? *(?P<what>[^\n]*)",
    re.IGNORECASE,
)
# CUDNN_STATUS_ALLOC_FAILED, CUFFT_EXEC_FAILED, CUDA_ERROR_OUT_OF_MEMORY, cudaErrorIllegalAddress
_STATUS = re.compile(
    r"\b(?:(?P<library>CUDNN|CUBLAS|CUSOLVER|CUSPARSE|CURAND|NVRTC)_(?:STATUS|ERROR)|(?P<fft>CUFFT)"
    r"|(?P<driver>CUDA_ERROR))_(?P<what>[A-Z_]+)|\bcudaError(?P<runtime>[A-Z]\w+)"
)

# A library allocates its handle and workspace at its first call; those that have no name for want of memory
# say "internal error" (cuFFT, cuDNN), or find no algorithm whose workspace would fit.
_FULL = re.compile(r"ALLOC_FAILED|ALLOCATION_FAILED|OUT_OF_MEMORY|NOT_INITIALIZED|INSUFFICIENT_RESOURCES")
_FULL_INSIDE = re.compile(r"CUFFT_INTERNAL_ERROR|CUDNN_STATUS_INTERNAL_ERROR")
_FULL_SAID = re.compile(
    r"out of memory|unable to find (?:a valid cuDNN algorithm|an engine to execute)", re.IGNORECASE
)
_FULL_ALONE = re.compile(r"BFCArena.*Failed to allocate memory", re.DOTALL)  # of onnxruntime
_UNUSABLE_STATUS = re.compile(r"ARCH_MISMATCH|VERSION_MISMATCH|LOADING_FAILED|RUNTIME_PREREQUISITE|LICENSE")
_BROKEN = re.compile(r"EXECUTION_FAILED|EXEC_FAILED|MAPPING_ERROR|INTERNAL_ERROR|LAUNCH_FAILURE")
# Of one call, and nothing is lost with it.
_ONE_CALL = re.compile(
    r"invalid ?(?:argument|configuration|resource ?handle|value|pitch)|too many resources"
    r"|launch ?out ?of ?resources|not ?supported$|not ?found$"
    r"|\bcaptur(?:e|ing)\b"  # of work into a CUDA graph
    r"|already ?(?:mapped|registered)",  # memory of the host that is to be pinned
    re.IGNORECASE,
)
_UNUSABLE = re.compile(
    r"no ?kernel ?image|kernel image is invalid|invalid ?device(?: ?function| ?ordinal|$)"
    r"|insufficient ?driver|driver version is insufficient|unsupported (?:display )?(?:driver|toolchain)"
    r"|unsupported ?ptx|invalid ?ptx|PTX JIT|no ?(?:cuda-capable )?device(?: is detected)?$"
    r"|no ?binary|invalid ?image|busy or unavailable|devices? ?unavailable|system not yet initialized"
    r"|system ?not ?ready|initialization ?error|not ?initialized|forward compatibility"
    r"|compat ?not ?supported",
    re.IGNORECASE,
)
# What comes without one of the two prefixes.
_UNUSABLE_ALONE = re.compile(
    r"No CUDA GPUs are available|Found no NVIDIA driver|NVIDIA driver on your system is too old"
    r"|not compiled with CUDA enabled|nvrtc: error"
    r"|^out of resource: "  # of Triton: a kernel that is too large for this GPU, at any batch
    r"|Failed to find C\+{0,2} ?compiler|libcuda\.so cannot found|'-shared', '-fPIC'.* non-zero exit status",
    re.MULTILINE,
)
_BROKEN_ALONE = re.compile(
    r"^(?:an illegal (?:memory access|instruction) was encountered|device-side assert triggered"
    r"|unspecified launch failure)|GPU is lost|fallen off the bus",
    re.MULTILINE,
)


def trouble_of(error: BaseException) -> Trouble | None:
    """What an error, or one that it came from, says of the device; None where it is not about that.

    Asking does not import torch.
    """
    found = {trouble for link in _chain(error) if (trouble := _trouble(link)) is not None}
    order: tuple[Trouble, ...] = ("broken", "unusable", "full")
    return next((trouble for trouble in order if trouble in found), None)


def as_device_error(error: Exception, *, loading: bool = False) -> Exception:
    """DeviceFault or DeviceUnusable where the error says so of the device, else the error itself.

    ``loading``: models are loaded, so a device that is broken already was not broken by any video.
    """
    trouble = trouble_of(error)
    if trouble == "unusable" or (trouble == "broken" and loading):
        return DeviceUnusable(
            f"the device cannot be used ({reason_of(error)}): check the driver and the GPU (nvidia-smi; "
            f"{command('doctor')}), or use another --device"
        )
    if trouble == "broken":
        return DeviceFault(f"this process has lost its device ({reason_of(error)})")
    return error


# What helps where something does not fit.
MAKE_ROOM = "stop other programs that use it, run fewer experts at a time, or use --device cpu"


def reason_of(error: BaseException) -> str:
    """The first line of what an error says."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from; libraries wrap what they catch."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _trouble(error: BaseException) -> Trouble | None:
    if isinstance(error, MarqueeError):
        return None
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return "full"
    text = str(error)
    if (status := _STATUS.search(text)) is not None:
        return _of_status(status)
    if _FULL_SAID.search(text) and re.search(r"cuda|cudnn|triton|hip\b|gpu|engine", text, re.IGNORECASE):
        return "full"
    if _FULL_ALONE.search(text):
        return "full"
    if _UNUSABLE_ALONE.search(text):
        return "unusable"
    if (said := _SAID.search(text)) is not None:
        return _of_call(said["what"].strip())
    accelerator = getattr(torch, "AcceleratorError", None)  # since PyTorch 2.8
    if accelerator is not None and isinstance(error, accelerator):
        return _of_call(reason_of(error))
    return "broken" if _BROKEN_ALONE.search(text) else None


def _of_status(status: re.Match[str]) -> Trouble | None:
    """Of a library's status, or of an error's name in CUDA's own interfaces."""
    if status["driver"] or status["runtime"]:
        name = status["runtime"] or status["what"].replace("_", " ")
        full = re.search(r"memory ?allocation|out of memory", name, re.IGNORECASE)
        return "full" if full else _of_call(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    if _FULL.search(status["what"]) or _FULL_INSIDE.match(status[0]):
        return "full"
    if status["library"] == "NVRTC" or _UNUSABLE_STATUS.search(status["what"]):
        return "unusable"
    return "broken" if _BROKEN.search(status["what"]) else None


def _of_call(what: str) -> Trouble | None:
    """Of what CUDA says of a call that failed."""
    if _UNUSABLE.search(what):
        return "unusable"
    return None if _ONE_CALL.search(what) else "broken"

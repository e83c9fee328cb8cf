"""Checkpoints in every container that published weights come in, loaded without surprises."""

from __future__ import annotations

import json
import math
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from extract.errors import WeightsError

if TYPE_CHECKING:
    import torch

    from extract.declarations import Resources

WRAPPERS = ("state_dict", "model", "model_state_dict")
OPENAI_CLIP_EXTRAS = ("input_resolution", "context_length", "vocab_size")
SHOWN = 5  # keys named in an error

_OBJECT = re.compile(r"global|class|instance|reduce", re.IGNORECASE)  # what torch says of a foreign object

# A key that only this network has -> its name; the first match counts.
SIGNATURES = (
    ("visual.layer1.0.conv1.weight", "a CLIP with a ResNet image tower"),
    ("attnpool.c_proj.weight", "a CLIP with a ResNet image tower"),
    ("visual.conv1.weight", "a CLIP with a ViT image tower"),
    ("spectrogram_extractor.stft.conv_real.weight", "a PANNs audio tagger"),
    ("encoder.blocks.0.attn.query.weight", "a Whisper"),
    ("distilbert.transformer.layer.0.attention.q_lin.weight", "a DistilBERT"),
    ("bert.encoder.layer.0.attention.self.query.weight", "a BERT"),
    ("transformer.layer.0.attention.q_lin.weight", "a DistilBERT"),
    ("layer0.conv1.weight", "a SENet"),
    ("stem.0.weight", "an R(2+1)D video network"),
    ("Conv3d_1a_7x7.conv3d.weight", "an I3D"),
    ("SDDCNN.0.DDCNN.0.Conv3D_1.layers.0.weight", "a TransNetV2"),
    ("layer1.0.conv1.weight", "a ResNet"),
    ("embeddings.0.weight", "a VGGish"),
    ("pca_eigen_vectors", "VGGish's PCA"),
    ("post_extract_proj.weight", "a BEATs"),
    ("audio_spectrogram_transformer.embeddings.cls_token", "an AST"),
    ("spec.mel_scale.fb", "a music tagger of Won et al. 2020"),
    ("classifier.6.weight", "a VGG"),
)


def load_state_dict(path: Path, *, trusted: bool = False) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint on the CPU, by their published names.

    Reads safetensors, torch's zip and pre-1.6 pickles (also those written by Python 2), bare or
    under ``state_dict``, ``model`` or ``model_state_dict``, and TorchScript (as float32). A
    ``module.`` before every name (DataParallel) is taken off, and so are the three numbers that
    OpenAI's CLIP files keep among the weights. Only a file that is ``trusted``, because its hash
    is the published one, may be unpickled as arbitrary Python.

    Raises:
        WeightsError: the file is damaged, of another kind, or needs trust that it does not have.
    """
    kind = _kind(path)
    if kind == "safetensors":
        content: Any = _load_safetensors(path)
    elif kind == "torchscript":
        content = _load_torchscript(path)
    else:
        content = _load_pickle(path, trusted=trusted, mapped=kind == "zip")
    state = _unwrap(path, content)
    for key in OPENAI_CLIP_EXTRAS:
        state.pop(key, None)
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def load_strict(
    module: torch.nn.Module,
    state: Mapping[str, torch.Tensor],
    *,
    what: str,
    missing_ok: Sequence[str] = ("num_batches_tracked",),
    ignore_prefixes: Sequence[str] = (),
) -> None:
    """Copy ``state`` into ``module``; every name and shape must agree.

    ``missing_ok`` are last parts of names that a file may lack, ``ignore_prefixes`` starts of
    names that a file may have beside the module's. ``what`` names the network in the error.

    Raises:
        WeightsError: naming what is missing, unknown or of another shape, and what the file
            holds instead where that can be told.
    """
    wanted = module.state_dict()
    given = {k: v for k, v in state.items() if k in wanted or not k.startswith(tuple(ignore_prefixes))}
    missing = [k for k in wanted if k not in given and k.rpartition(".")[2] not in missing_ok]
    unknown = [k for k in given if k not in wanted]
    shapes = [
        f"{k} is {tuple(given[k].shape)}, not {tuple(wanted[k].shape)}"
        for k in wanted
        if k in given and given[k].shape != wanted[k].shape
    ]
    problems = [
        f"{len(names)} {kind}: {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
        for kind, names in (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
        if names
    ]
    if problems:
        instead = next((name for key, name in SIGNATURES if key in state), None)
        looks = f" (the file looks like {instead})" if instead and len(missing) > len(wanted) // 2 else ""
        raise WeightsError(f"these are not the weights of {what}{looks}; {'; '.join(problems)}")
    module.load_state_dict(given, strict=False)


@contextmanager
def to_be_filled() -> Iterator[None]:
    """Networks built inside leave their random draws out, for :func:`fill` gives every parameter its value.

    Drawing takes longer than loading. What is computed (buffers, ones, zeros) is as ever, and other
    threads draw as they did.
    """
    from torch import Tensor
    from torch.nn import init
    from torch.overrides import TorchFunctionMode

    draws: set[Any] = {init.kaiming_normal_, init.kaiming_uniform_, init.normal_, init.uniform_}
    draws |= {Tensor.normal_, Tensor.uniform_, Tensor.erfinv_}  # what the other functions of init call

    class WithoutDraws(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            given = kwargs or {}
            if func in draws:
                return args[0] if args else given["tensor"]
            return func(*args, **given)

    with WithoutDraws():
        yield


def fill(
    module: torch.nn.Module,
    resources: Resources,
    role: str,
    read: Callable[[Path], Mapping[str, torch.Tensor]] | None = None,
    *,
    what: str,
    ignore_prefixes: Sequence[str] = (),
) -> None:
    """Give ``module`` the weights of the file in that ``role``, or for a dry run those of a seed.

    Build it under :func:`to_be_filled`. ``read`` (default: :func:`load_state_dict`) makes the tensors
    of the file; the rest is as of :func:`load_strict`, which says what it raises.
    """
    if resources.random_seed is not None:
        seeded(module, resources.random_seed)
        return
    state = (read or load_state_dict)(resources.weights[role])
    load_strict(module, state, what=what, ignore_prefixes=ignore_prefixes)


def seeded(module: torch.nn.Module, seed: int) -> None:
    """Redraw all parameters from ``seed`` and their own names, the same on every machine.

    NumPy's PCG64, normal with variance 1 / fan-in, which lets activations neither vanish nor
    overflow (half precision included) in deep residual networks; vectors near 1, biases near 0.
    Buffers (running statistics, fixed front ends) stay as they were built.
    """

    def redraw(name: str, parameter: NDArray[np.float32]) -> None:
        shape = parameter.shape
        generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()) + seed))
        values = generator.standard_normal(shape, dtype=np.float32)
        if len(shape) > 1:
            values = values * np.float32(1 / math.sqrt(math.prod(shape[1:])))
        elif name.endswith("bias"):
            values = values * np.float32(0.01)
        else:
            values = 1 + values * np.float32(0.1)
        parameter[...] = values

    views = {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}
    with ThreadPoolExecutor() as pool:  # NumPy draws beside other threads
        for _ in pool.map(redraw, views, views.values()):
            pass


def _kind(path: Path) -> str:
    """The container by its first bytes: safetensors, torchscript, zip or pickle."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a git-lfs pointer, not the file itself; fetch it with `git lfs pull`")
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        raise WeightsError(f"{path} is a web page saved under a weight file's name; download it again")
    if head.startswith(b"PK\x03\x04"):
        return "torchscript" if _is_torchscript(path) else "zip"
    if head[8:9] == b"{":
        return "safetensors"
    if head.startswith(b"\x80"):
        return "pickle"
    raise _damaged(path, "it does not start like any checkpoint format")


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged(path, f"its zip directory is broken ({error})") from error


def _load_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise _damaged(path, str(error)) from error


def _load_torchscript(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated; published CLIP files are not
            load: Any = torch.jit.load  # it has no annotations
            state = load(str(path), map_location="cpu").state_dict()
    except (RuntimeError, ValueError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from error
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _load_pickle(path: Path, *, trusted: bool, mapped: bool) -> Any:
    import torch

    # latin1 also reads the 8-bit strings that Python 2 wrote; newer files hold none
    arguments: dict[str, Any] = {"map_location": "cpu", "encoding": "latin1", "mmap": mapped}
    try:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings(
                    "ignore", "pickle_load_args only works"
                )  # encoding works all the same
                return torch.load(path, weights_only=True, **arguments)
        except pickle.UnpicklingError as error:
            if not _OBJECT.search(str(error)):
                raise
            if not trusted:
                raise WeightsError(
                    f"{path} holds Python objects beside tensors, and unpickling those can run any code; "
                    "only a file with its published SHA-256 may do that. Save its tensors alone, with "
                    "safetensors.torch.save_file(state_dict, NAME), and use that file"
                ) from error
            return torch.load(path, weights_only=False, **arguments)
    except WeightsError:
        raise
    except Exception as error:  # broken bytes make an unpickler raise anything
        why = "" if isinstance(error, pickle.UnpicklingError) else (str(error).splitlines() or [""])[0]
        raise _damaged(path, why or "its pickle is truncated or malformed") from error


def _unwrap(path: Path, content: Any) -> dict[str, torch.Tensor]:
    """The tensors by name, from a bare state dict or one level down."""
    import torch

    found: Any = content
    if isinstance(content, Mapping):
        found = next((content[key] for key in WRAPPERS if key in content), content)
    if isinstance(found, torch.nn.Module):
        found = found.state_dict()
    if not isinstance(found, Mapping):
        raise WeightsError(f"{path} holds a {type(found).__name__}, not tensors by name")
    tensors = {str(key): value for key, value in found.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        keys = ", ".join(map(str, list(found)[:SHOWN])) or "nothing"
        raise WeightsError(f"{path} holds no tensors by name; it holds: {keys}")
    return tensors


def _damaged(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{path} ({path.stat().st_size:,} bytes) is truncated or not a checkpoint: {why}; download it again"
    )

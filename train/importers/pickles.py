"""Pickles of arrays, read so that nothing in them runs."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from train.errors import DataError

_PLAIN = ("set", "frozenset", "bytes", "bytearray", "complex")
_NUMPY = {"multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer"}
_TORCH_DTYPES = (
    "float16",
    "float32",
    "float64",
    "bfloat16",
    "int8",
    "uint8",
    "int16",
    "int32",
    "int64",
    "bool",
)


def load_arrays(path: Path) -> Any:
    """What a pickle holds of dictionaries, lists, text, numbers, NumPy arrays and torch tensors.

    Any other class or function that it names is refused before it is looked up. The file is read whole,
    since a pickle cannot be read in parts. One that Python 2 wrote, whose text and bytes are the same, is
    read too: text as Latin-1, which leaves the bytes of arrays as they are. Raises DataError.
    """
    try:
        with path.open("rb") as file:
            return _Arrays(file, encoding="latin1").load()
    except DataError as error:
        raise DataError(f"{str(path)!r} {error}") from None
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(
            f"{str(path)!r} is not a pickle of arrays ({type(error).__name__}: {error}): fetch it again"
        ) from error


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _allowed(module, name)
        if found is None:
            raise DataError(
                f"names {module}.{name}, which no file of features needs, so it was not loaded: fetch the "
                "file from its publisher"
            )
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise DataError("refers to other files: give one pickle that holds its arrays")


def _allowed(module: str, name: str) -> Any:
    """A class or function that makes arrays or plain values; None for all others."""
    import builtins

    if module in ("builtins", "__builtin__") and name in _PLAIN:  # the second in protocols up to 2
        return getattr(builtins, name)
    if (module, name) == ("collections", "OrderedDict"):
        return OrderedDict
    if (module, name) == ("_codecs", "encode"):  # how Python 2 and protocol 2 write bytes
        return _latin1
    package, _, rest = module.partition(".")
    if package == "numpy":
        return _numpy(rest, name)
    if package == "torch":
        return _torch(module, name)
    return None


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise DataError(f"encodes text as {encoding!r}")
    return text.encode("latin1")


def _numpy(module: str, name: str) -> Any:
    """The same functions were ``numpy.core`` before version 2 and are ``numpy._core`` since."""
    if not module:
        return {"ndarray": np.ndarray, "dtype": np.dtype}.get(name)
    place, _, last = module.partition(".")
    if place in ("core", "_core") and f"{last}.{name}" in _NUMPY:
        from numpy._core import multiarray, numeric

        return getattr(numeric if last == "numeric" else multiarray, name)
    if module == "dtypes" and name.endswith("DType"):
        return getattr(np.dtypes, name, None)
    return None


def _torch(module: str, name: str) -> Any:
    import torch

    if module == "torch" and name in _TORCH_DTYPES:
        return getattr(torch, name)
    if (module, name) in {("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")}:
        return getattr(torch._utils, name)
    if (module, name) == ("torch.storage", "_load_from_bytes"):
        return _storage
    return None


def _storage(data: bytes) -> Any:
    """A pickled tensor holds its storage as a file of torch's own: that one is loaded restricted too."""
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)

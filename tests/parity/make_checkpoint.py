"""Write a synthetic checkpoint in the published file format from a table of shapes.

Containers
  torch_legacy      pre-1.6 pickle stream, an OrderedDict of tensors (or wrapped, see below)
  torch_legacy_py2  the same, written the way Python 2 wrote it: every str as an 8-bit string
  torch_zip         zip archive of torch >= 1.6
  safetensors       one safetensors file
  hf_dir            directory: config.json + model.safetensors
  openai_jit        TorchScript archive, float16 (OpenAI CLIP layout; CLIP tables only)
"wrap" in the table: none -> the bare state dict; "state_dict" -> epoch/arch/state_dict/best_prec1; "model" ->
{"model": sd}; "whisper" -> {"dims", "model_state_dict"}; "beats" -> {"cfg", "model", "label_dict"}.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.parity import front_end, weights_rule
from tests.parity.weights_rule import Table

StateDict = OrderedDict[str, torch.Tensor]


PurePythonPickler: Any = pickle._Pickler  # its dispatch table can be changed; type checkers take it for C's


class _Python2Pickler(PurePythonPickler):
    """Stores str as Python 2 did (8-bit string opcodes)."""

    dispatch = dict(PurePythonPickler.dispatch)  # noqa: RUF012

    def save_str(self, text: str) -> None:
        try:
            data = text.encode("latin-1")
        except UnicodeEncodeError:
            super().save_str(text)
            return
        if len(data) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(text)

    dispatch[str] = save_str


class _Python2Pickle:
    """What torch.save needs of a pickle module."""

    Pickler = _Python2Pickler

    @staticmethod
    def dump(obj: Any, file: Any, protocol: int = 2) -> None:
        _Python2Pickler(file, protocol=2).dump(obj)


def _wrapped(table: Table, state: StateDict) -> dict[str, Any]:
    match table.get("wrap"):
        case None:
            return state
        case "state_dict":
            arch = table.get("arch", "resnet18")
            return {"epoch": 90, "arch": arch, "state_dict": state, "best_prec1": 54.65}
        case "model":
            return {"model": state}
        case "whisper":
            return {"dims": dict(table["dims"]), "model_state_dict": state}
        case "beats":
            config = dict(table["cfg"])
            labels = {i: f"/m/{i:05d}" for i in range(config["predictor_class"])}
            return {"cfg": config, "model": state, "label_dict": labels}
        case unknown:
            raise ValueError(unknown)


def _torchscript(state: StateDict, extra: dict[str, int]) -> Any:
    class Node(torch.nn.Module):
        def forward(self) -> int:
            return 0

    root: torch.nn.Module = Node()
    for key, value in state.items():
        *path, leaf = key.split(".")
        node = root
        for part in path:
            if part not in node._modules:
                node.add_module(part, Node())
            node = node.get_submodule(part)
        node.register_parameter(leaf, torch.nn.Parameter(value, requires_grad=False))
    for name, number in extra.items():
        root.register_buffer(name, torch.tensor(number))
    return torch.jit.script(root)


def state_dict(table: Table, seed: int, only: str | None = None) -> StateDict:
    drawn = weights_rule.tensors(table, seed, front_end.build, only)
    return OrderedDict((key, torch.from_numpy(np.array(tensor))) for key, tensor in drawn)


def write(table: Table, seed: int, out: Path, container: str | None = None, only: str | None = None) -> Path:
    """Write a table's checkpoint and return ``out``.

    Args:
        table: the content of a file of ``shapes``.
        seed: of the draw; the stored vectors were made with 11.
        out: the file or folder to write.
        container: the file format, None: the table's own.
        only: a prefix of the keys that are written.

    Raises:
        ValueError: an unknown container.
    """
    state, container = state_dict(table, seed, only), container or table["container"]
    if container == "torch_legacy":
        torch.save(_wrapped(table, state), out, _use_new_zipfile_serialization=False)
    elif container == "torch_legacy_py2":
        torch.save(
            _wrapped(table, state), out, pickle_module=_Python2Pickle, _use_new_zipfile_serialization=False
        )
    elif container == "torch_zip":
        torch.save(_wrapped(table, state), out)
    elif container in ("safetensors", "hf_dir"):
        from safetensors.torch import save_file

        target = out
        if container == "hf_dir":
            out.mkdir(parents=True, exist_ok=True)
            (out / "config.json").write_text(json.dumps(table["config"], indent=2), encoding="utf-8")
            target = out / "model.safetensors"
        tensors = {key: value.contiguous() for key, value in state.items()}
        save_file(tensors, target, metadata={"format": "pt"})
    elif container == "openai_jit":
        half = OrderedDict((key, value.half()) for key, value in state.items())
        sizes = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}
        _torchscript(half, sizes).save(str(out))
    else:
        raise ValueError(container)
    return out

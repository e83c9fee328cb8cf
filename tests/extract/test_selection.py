"""Which device ``auto`` is, and that a machine without any is told from its drivers alone."""

from __future__ import annotations

import ctypes
import os
import sys

import pytest
import torch

from extract.selection import choose_device, usual_precision


def no_library(name: str) -> None:
    raise OSError(f"{name}: cannot open shared object file")


@pytest.mark.skipif(sys.platform != "linux", reason="drivers of other systems have other names")
def test_torch_is_not_asked_where_there_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    monkeypatch.setitem(sys.modules, "torch", None)  # its import is an error
    assert choose_device("auto") == "cpu"
    with pytest.raises(ImportError):
        choose_device("cuda")


@pytest.mark.parametrize("there", [True, False])
def test_torch_decides_where_there_is_a_driver(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device("auto") == ("cuda:0" if there else "cpu")


@pytest.mark.parametrize(("native", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_that_emulates_bfloat16_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch, native: bool, precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert usual_precision("cuda:0") == precision
    assert usual_precision("cpu") == "float32"

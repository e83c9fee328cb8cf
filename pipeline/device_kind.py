"""What kind of device computes rows: on one kind they are the same to the bit, on another they may not be."""

from __future__ import annotations

import platform

import numpy as np

UNKNOWN = "unknown"  # of rows that were stored before this was noted


def device_kind(device: str) -> str:
    """``cpu`` with its architecture and widest vector instructions, or ``cuda`` with the GPU's name."""
    if device == "cpu":
        extensions = np.show_config(mode="dicts")["SIMD Extensions"]
        widest = [*extensions.get("baseline", ()), *extensions.get("found", ())][-1:]
        return " ".join(["cpu", platform.machine(), *widest])
    import torch

    return f"cuda {torch.cuda.get_device_name(device)}"

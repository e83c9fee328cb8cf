"""No TF32 while a network runs, however the process had set it; no GPU is needed for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from extract.detectors import transnetv2
from extract.expert import Resources
from extract.ops.network.inference import inference

BACKENDS: Any = torch.backends
pytestmark = pytest.mark.skipif(
    not hasattr(BACKENDS, "fp32_precision"), reason="PyTorch before 2.9 has the older flags alone"
)


def older(products: bool, convolutions: bool) -> None:
    BACKENDS.cuda.matmul.allow_tf32, BACKENDS.cudnn.allow_tf32 = products, convolutions


def newer(everywhere: str, products: str | None = None) -> None:
    BACKENDS.fp32_precision = everywhere
    if products is not None:
        BACKENDS.cuda.matmul.fp32_precision = products


SET: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "ieee everywhere": lambda: newer("ieee"),
    "tf32 everywhere": lambda: newer("tf32"),
    "ieee but for products": lambda: newer("ieee", "tf32"),
    "older flags on": lambda: older(True, True),
    "older flags off": lambda: older(False, False),
    "products at medium precision": lambda: torch.set_float32_matmul_precision("medium"),
}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    newer("none", "none")
    torch.set_float32_matmul_precision("highest")
    BACKENDS.cudnn.allow_tf32 = True


def read(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except RuntimeError:
        return "raises"


def state() -> dict[str, Any]:
    return {
        "products": BACKENDS.cuda.matmul.fp32_precision,
        "convolutions": BACKENDS.cudnn.conv.fp32_precision,
        "recurrence": BACKENDS.cudnn.rnn.fp32_precision,
        "older, products": read(torch.get_float32_matmul_precision),
    }


@pytest.mark.parametrize("name", SET)
def test_products_are_exact_inside_and_as_before_outside(name: str) -> None:
    SET[name]()
    before = state()
    with inference("cuda:0"):
        assert state() == dict.fromkeys(before, "ieee") | {"older, products": "highest"}
        assert (
            BACKENDS.cuda.matmul.allow_tf32 is False
        )  # cuBLAS asks this, which raises where the two disagree
    assert state() == before


def test_the_shot_network_runs_after_the_newer_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    class Network(torch.nn.Module):
        def forward(self, windows: torch.Tensor) -> tuple[torch.Tensor, None]:
            return torch.zeros(len(windows), transnetv2.WINDOW, 1), None

    monkeypatch.setattr(transnetv2, "load_network", Network)
    newer("ieee")
    predict = transnetv2.load_predictor(Resources())
    windows = torch.zeros(1, transnetv2.WINDOW, transnetv2.HEIGHT, transnetv2.WIDTH, 3, dtype=torch.uint8)
    assert predict(windows.numpy()).tolist() == [[0.5] * transnetv2.STEP]

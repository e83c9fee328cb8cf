"""RapidOCR's networks in batches over frames; the batches of a GPU are computed on the CPU."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.errors import DeviceUnusable, MissingDependency, UsageError
from extract.expert import Resources
from extract.experts.ocr import Ocr, OcrOptions
from extract.ops.text.ocr_engines import RapidOcrReader
from extract.ops.text.rapidocr_networks import CUDA, ON_GPU
from extract.registry import make_expert
from extract.types import Row
from tests.extract.experts.test_ocr import CARDS, items


@pytest.fixture(scope="module")
def rows() -> list[list[Row]]:
    return Ocr().load(Resources())(items(CARDS))


@pytest.mark.slow
def test_frames_share_batches_as_on_a_gpu(rows: list[list[Row]]) -> None:
    """The sizes of batches that a GPU takes: the lines of one by one, whatever stands beside them."""
    reader = RapidOcrReader(min_score=0.5, max_side=960, use_cls=False, at_once=ON_GPU)
    calls: list[tuple[int, ...]] = []
    networks = reader._networks()
    for network in (networks._detector, networks._recogniser):
        network.session = _counting(network.session, calls)
    turned = np.ascontiguousarray(np.rot90(CARDS[0], 2))
    together = reader([*CARDS, turned, np.zeros((16, 200, 3), np.uint8)])
    # four frames and what is turned, then one of another size; all lines; those that may stand on their heads
    assert [shape[0] for shape in calls if shape[2] != 48] == [8, 1]
    assert sum(shape[2] == 48 for shape in calls) <= 5
    for frame, lines, of_frame in zip([*CARDS, turned], together, [*rows, None], strict=False):
        (alone,) = reader([frame])
        assert [line.text for line in alone] == [line.text for line in lines]
        for line, other in zip(lines, alone, strict=True):
            np.testing.assert_array_equal(line.box, other.box)
            assert line.score == pytest.approx(other.score, abs=1e-4)
        if of_frame is not None:
            assert [line.text for line in lines] == [row["text"] for row in of_frame]
    assert [line.text for line in together[4]] == [row["text"] for row in rows[0]] and together[5] == []


def _counting(session: Any, calls: list[tuple[int, ...]]) -> Any:
    class Counting:
        def __call__(self, inputs: NDArray[np.float32]) -> Any:
            calls.append(inputs.shape)
            return session(inputs)

    return Counting()


def test_a_gpu_that_onnxruntime_does_not_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """RapidOCR itself goes on without, and says so in its log alone."""
    provider_config = importlib.import_module("rapidocr.inference_engine.onnxruntime.provider_config")
    for module in (provider_config, importlib.import_module("onnxruntime")):
        monkeypatch.setattr(module, "get_available_providers", lambda: ["CPUExecutionProvider"])
    expert = make_expert("ocr", {"engine": "rapidocr_cuda"})
    with pytest.raises(MissingDependency, match="pip install onnxruntime-gpu"):
        expert.check_installed()
    with pytest.raises(DeviceUnusable, match=r"does not use cuda:1, but CPU.*onnxruntime-gpu"):
        expert.load(Resources(device="cuda:1"))
    with pytest.raises(UsageError, match=r"needs a GPU \(--device cuda\): use engine=rapidocr"):
        expert.load(Resources())
    assert expert.on_device and expert.host_batch > 1 and not Ocr().on_device and Ocr().host_batch == 1
    assert Ocr(OcrOptions(spelling="bart")).on_device  # which computes there, though frames are read here


@pytest.mark.cuda
def test_a_gpu_reads_the_same_lines(rows: list[list[Row]]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if CUDA not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime here is the build for CPUs")
    on_gpu = make_expert("ocr", {"engine": "rapidocr_cuda"}).load(Resources(device="cuda:0"))
    for there, here in zip(on_gpu(items(CARDS)), rows, strict=True):
        assert [row["text"] for row in there] == [row["text"] for row in here]

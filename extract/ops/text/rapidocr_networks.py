"""RapidOCR's two networks: frames to the boxes of their lines, pictures of lines to readings, in batches.

What becomes of a picture depends on it alone: only what the networks see at one size shares a batch, and a
line is padded to a width that follows from its own. What is around the networks is the library's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.errors import DeviceUnusable
from extract.ops.network.batching import fixed_batches
from extract.ops.text.turned_lines import LineReading

CUDA = "CUDAExecutionProvider"
NEEDS_ONNXRUNTIME_GPU = (
    "engine 'rapidocr_cuda' needs onnxruntime's build for CUDA, which takes the other one's place: "
    "pip uninstall onnxruntime; pip install onnxruntime-gpu; or use engine 'rapidocr'"
)


@dataclass(frozen=True)
class AtOnce:
    """The most frames and lines in a batch; lines, 48 pixels high, are padded to a multiple of ``width``."""

    frames: int = 1
    lines: int = 1
    width: int = 1


ON_CPU = AtOnce()  # batches gain nothing there
ON_GPU = AtOnce(frames=16, lines=32, width=64)


class TextNetworks:
    """A detector and a recogniser, loaded. ``params`` are RapidOCR's, ``device`` is ``cpu`` or ``cuda:N``.

    On a GPU callable from several threads. Raises DeviceUnusable where onnxruntime does not use that GPU.
    """

    def __init__(self, params: Mapping[str, Any], at_once: AtOnce, *, device: str) -> None:
        from rapidocr import RapidOCR

        self._engine: Any = RapidOCR(params={**params, **({} if device == "cpu" else _on_gpu(device))})
        self._detector, self._recogniser = self._engine._load_det_model(), self._engine._load_rec_model()
        self._at_once = at_once
        used = self._detector.session.session.get_providers()
        if device != "cpu" and CUDA not in used:  # it goes on without
            raise DeviceUnusable(f"onnxruntime does not use {device}, but {used[0]}: {NEEDS_ONNXRUNTIME_GPU}")

    def boxes(self, pictures: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Of each BGR picture, the corners (n, 4, 2) of its lines in pixels, from the top."""
        from rapidocr.utils.process_img import apply_vertical_padding, map_boxes_to_original

        detector, limits = self._detector, self._engine
        padded: list[tuple[NDArray[np.uint8], dict[str, Any]]] = [
            apply_vertical_padding(picture, {}, limits.width_height_ratio, limits.min_height)
            for picture in pictures
        ]
        inputs = [detector.get_preprocess()(picture) for picture, _ in padded]
        found = []
        maps = _in_batches(detector.session, inputs, self._at_once.frames)
        for picture, (seen, padding), text_map in zip(pictures, padded, maps, strict=True):
            corners, _ = detector.postprocess_op(text_map, seen.shape[:2])
            if len(corners):
                corners = detector.sorted_boxes(corners)
                corners = map_boxes_to_original(corners, padding, *picture.shape[:2])
            found.append(np.asarray(corners, dtype=np.float32).reshape(-1, 4, 2))
        return found

    def read(self, lines: Sequence[NDArray[np.uint8]]) -> list[LineReading]:
        """What each picture of a line, BGR and upright, says."""
        ratios = [self._ratio(line) for line in lines]
        inputs = [
            self._recogniser.resize_norm_img(line, ratio)[np.newaxis]
            for line, ratio in zip(lines, ratios, strict=True)
        ]
        letters = _in_batches(self._recogniser.session, inputs, self._at_once.lines)
        return [self._reading(*each) for each in zip(letters, lines, ratios, strict=True)]

    def _ratio(self, line: NDArray[np.uint8]) -> float:
        """Width over height of what the recogniser sees of a line."""
        _, high, least = self._recogniser.rec_image_shape
        ratio = max(least / high, line.shape[1] / line.shape[0])
        step = self._at_once.width
        # half a pixel, which is cut off: no rounding takes a whole one
        return float(ratio if step == 1 else (-(-int(high * ratio) // step) * step + 0.5) / high)

    def _reading(self, letters: NDArray[np.float32], line: NDArray[np.uint8], ratio: float) -> LineReading:
        own = line.shape[1] / line.shape[0]
        ((text, score),), (where,) = self._recogniser.postprocess_op(
            letters, True, wh_ratio_list=[own], max_wh_ratio=ratio
        )
        columns = [column for word in where.word_cols for column in word]
        middles = tuple((column + 0.5) / where.line_txt_len for column in columns)
        return LineReading(text, float(score), middles, tuple(where.confs))


def _in_batches(
    network: Callable[[Any], Any], inputs: Sequence[NDArray[np.float32]], size: int
) -> list[NDArray[np.float32]]:
    """What a network makes of each of ``inputs`` (1, ...), those of one shape together; in order."""
    places: dict[tuple[int, ...], list[int]] = {}
    for place, one in enumerate(inputs):
        places.setdefault(one.shape, []).append(place)
    outputs: dict[int, NDArray[np.float32]] = {}
    for same in places.values():
        # With a size of 1 that of a CPU too: there is nothing to pad.
        found = fixed_batches(network, np.concatenate([inputs[n] for n in same]), size, device="cuda")
        outputs |= zip(same, np.split(found, len(same)), strict=True)
    return [outputs[place] for place in range(len(inputs))]


def _on_gpu(device: str) -> dict[str, Any]:
    """Options of onnxruntime, as its page "CUDA Execution Provider" has them."""
    provider = "EngineConfig.onnxruntime.cuda_ep_cfg"
    return {
        "EngineConfig.onnxruntime.use_cuda": True,
        f"{provider}.device_id": int(device.partition(":")[2] or 0),
        f"{provider}.arena_extend_strategy": "kSameAsRequested",
        f"{provider}.cudnn_conv_algo_search": "HEURISTIC",  # a search for every width would take seconds
        f"{provider}.use_tf32": 0,
    }

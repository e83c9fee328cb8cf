"""Readers: an RGB picture in, lines of text out. Each is one library behind one method.

A reader may be called from several threads: it keeps one library object for each of them.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from extract.errors import MissingDependency, to_install
from extract.ops.text.rapidocr_networks import CUDA, NEEDS_ONNXRUNTIME_GPU, ON_CPU, AtOnce, TextNetworks
from extract.ops.text.scripts import greek, is_unread, looks_foreign
from extract.ops.text.spelling import known_words
from extract.ops.text.turned_lines import Line, main_turn, read_lines, read_together, upright
from extract.ops.text.unlikely import ALONE, BESIDE, foreign_odds
from extract.weights.hashing import sha256_of

# What the wheel of rapidocr 3.10 carries (Apache-2.0): PP-OCRv6 small.
RAPIDOCR_MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
PADDLE_DETECTOR = "PP-OCRv5_mobile_det"
PADDLE_RECOGNISER = "PP-OCRv5_mobile_rec"


@dataclass(frozen=True)
class TextLine:
    """One line of text; ``box`` is float32 (4, 2), its corners in pixels, clockwise from the text's top left.

    A line of a script that the engine does not know has the text "" and the score 0.
    """

    text: str
    score: float
    box: NDArray[np.float32]

    @property
    def height(self) -> float:
        """Height of the letters' line in pixels, however it is turned."""
        sides = self.box[[3, 2]] - self.box[[0, 1]]
        return float(np.linalg.norm(sides, axis=1).mean())


class Reader(Protocol):
    def __call__(self, images: Sequence[NDArray[np.uint8]], /) -> list[list[TextLine]]:
        """The lines of each uint8 (height, width, 3) RGB picture, in reading order."""


@functools.cache
def rapidocr_models() -> Mapping[str, Path]:
    """The model files inside the installed rapidocr, found without importing it.

    Raises MissingDependency if one is absent: the library itself would try to download it.
    """
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency("engine 'rapidocr' needs rapidocr, not installed here: pip install rapidocr")
    folder = Path(spec.submodule_search_locations[0]) / "models"
    files = {part: folder / name for part, name in RAPIDOCR_MODELS.items()}
    absent = [path.name for path in files.values() if not path.is_file()]
    if absent:
        version = importlib.metadata.version("rapidocr")
        raise MissingDependency(
            f"rapidocr {version} came without {', '.join(absent)}, which rapidocr 3.10's wheel carries: "
            "pip install --force-reinstall --no-deps 'rapidocr==3.10.*'"
        )
    return files


@functools.cache
def rapidocr_identity() -> Mapping[str, str]:
    """What determines the engine's reading: its version and the SHA-256 of its model files."""
    hashes = {path.name: sha256_of(path) for path in rapidocr_models().values()}
    return {"rapidocr": importlib.metadata.version("rapidocr"), **hashes}


class RapidOcrReader:
    """RapidOCR with the models of its own wheel: on a CPU on one thread for each calling thread.

    A line that is read with little confidence is read turned by half too, or in four directions where
    it is about as high as wide (:mod:`extract.ops.text.turned_lines`). A line of a script that the models
    do not know (:mod:`extract.ops.text.scripts`, :mod:`extract.ops.text.unlikely`) has the text "" and the
    score 0.

    Args:
        min_score: lines that the recogniser is less sure of are dropped.
        max_side: text is looked for on the picture with its longer side reduced to this;
            it is read from the full picture.
        use_cls: turn every line, also those that are read with confidence as they are.
        device: ``cpu`` or ``cuda:N``, where frames share batches.
        at_once: the size of batches.

    Raises DeviceUnusable where onnxruntime does not use the GPU.
    """

    def __init__(
        self,
        *,
        min_score: float,
        max_side: int,
        use_cls: bool,
        device: str = "cpu",
        at_once: AtOnce = ON_CPU,
    ) -> None:
        self._min_score = min_score
        self._max_side = max_side
        self._turn_all = use_cls
        params = {
            # Explicit files: with none given, RapidOCR checks its own and downloads what differs.
            **{f"{part}.model_path": str(path) for part, path in rapidocr_models().items()},
            "Global.log_level": "critical",
            "Det.limit_type": "max",
            "Det.limit_side_len": max_side,
            # One thread has no pool, and so nothing that spins while it waits.
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
        self._load = partial(TextNetworks, params, at_once, device=device)
        self._own = threading.local()
        self._shared = None if device == "cpu" else self._load()

    def _networks(self) -> TextNetworks:
        if self._shared is not None:
            return self._shared
        if not hasattr(self._own, "networks"):
            self._own.networks = self._load()
        networks: TextNetworks = self._own.networks
        return networks

    def __call__(self, images: Sequence[NDArray[np.uint8]], /) -> list[list[TextLine]]:
        from rapidocr.utils.process_img import get_rotate_crop_image

        networks = self._networks()
        pictures = [self._picture(image) for image in images]
        frames = []
        for picture, boxes in zip(pictures, networks.boxes(pictures), strict=True):
            crops = [np.ascontiguousarray(get_rotate_crop_image(picture, box)) for box in boxes]
            frames.append(read_lines(crops, boxes, turn_all=self._turn_all))
        return [self._text_lines(lines) for lines in read_together(frames, networks.read)]

    def _picture(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """BGR. The detector works in blocks of 32 pixels and sees nothing where a side shrinks below one."""
        least = max(32, -(-32 * max(image.shape[:2]) // self._max_side))
        return np.ascontiguousarray(_at_least(image, least)[..., ::-1])

    def _text_lines(self, lines: Sequence[Line]) -> list[TextLine]:
        """Those of a frame that are believed, in reading order."""
        if not lines:
            return []
        order = reading_order(upright(np.stack([line.box for line in lines]), main_turn(lines)))
        foreign = self._foreign(lines)
        texts = (TextLine("", 0.0, lines[i].box) if foreign[i] else self._text_line(lines[i]) for i in order)
        return [text for text in texts if text is not None]

    def _foreign(self, lines: Sequence[Line]) -> list[bool]:
        """Which lines of a frame are of a script that the models do not know."""
        marked = [
            is_unread(line.picture, line.reading.letters)
            or looks_foreign(greek(line.reading.text), known_words())
            for line in lines
        ]
        odds = [
            foreign_odds(line.reading) if line.reading.score >= self._min_score else -np.inf for line in lines
        ]
        together = sum(odd for odd in odds if odd > BESIDE)  # most frames are in one script
        least = BESIDE if any(marked) or together > ALONE else ALONE
        return [sure or odd > least for sure, odd in zip(marked, odds, strict=True)]

    def _text_line(self, line: Line) -> TextLine | None:
        """None for what is not a line, or is read with too little confidence."""
        text, score = greek(line.reading.text), line.reading.score
        return TextLine(text, score, line.box) if text.strip() and score >= self._min_score else None


class PaddleOcrReader:
    """PaddleOCR 3 with local model folders, on one CPU thread for each calling thread.

    The arguments are those of its documentation (PaddlePaddle/PaddleOCR,
    docs/version3.x/pipeline_usage/OCR.en.md); the models that unwarp and turn whole documents stay off.

    Args:
        detector: folder with the inference model PP-OCRv5_mobile_det.
        recogniser: folder with the inference model PP-OCRv5_mobile_rec.
        min_score: lines that the recogniser is less sure of are dropped.
        max_side: text is looked for on the picture with its longer side reduced to this.
    """

    def __init__(self, *, detector: Path, recogniser: Path, min_score: float, max_side: int) -> None:
        check_paddleocr()
        self._arguments = {
            "text_detection_model_name": PADDLE_DETECTOR,
            "text_detection_model_dir": str(detector),
            "text_recognition_model_name": PADDLE_RECOGNISER,
            "text_recognition_model_dir": str(recogniser),
            "text_det_limit_type": "max",
            "text_det_limit_side_len": max_side,
            "text_rec_score_thresh": min_score,
            "use_doc_orientation_classify": False,
            "use_doc_unwarping": False,
            "use_textline_orientation": False,
            "device": "cpu",
            "cpu_threads": 1,
            "enable_mkldnn": False,  # paddlepaddle 3.3 stops with "ConvertPirAttribute2RuntimeAttribute"
        }
        self._local = threading.local()

    def _engine(self) -> Any:
        if not hasattr(self._local, "engine"):
            from paddleocr import PaddleOCR

            self._local.engine = PaddleOCR(**self._arguments)
        return self._local.engine

    def __call__(self, images: Sequence[NDArray[np.uint8]], /) -> list[list[TextLine]]:
        return [self._read(image) for image in images]

    def _read(self, image: NDArray[np.uint8]) -> list[TextLine]:
        (found,) = self._engine().predict(np.ascontiguousarray(image[..., ::-1]))
        result = found.json["res"]
        return _lines(result["rec_texts"], result["rec_scores"], result["rec_polys"])


def check_paddleocr() -> None:
    """Raises MissingDependency with the command that fixes it."""
    for module in ("paddle", "paddleocr"):
        if importlib.util.find_spec(module) is None:
            raise MissingDependency(
                f"engine 'paddleocr' needs {module}, not installed here: {to_install('paddleocr')} in "
                "a separate environment (it installs another OpenCV)"
            )


def paddleocr_identity() -> Mapping[str, str]:
    """What determines the engine's reading beside its models, which are files of weights: its version."""
    return {"paddleocr": importlib.metadata.version("paddleocr")}


def check_onnxruntime_gpu() -> None:
    """Raises MissingDependency where onnxruntime's build is the one for CPUs."""
    import onnxruntime

    if CUDA not in onnxruntime.get_available_providers():
        raise MissingDependency(NEEDS_ONNXRUNTIME_GPU)


def reading_order(boxes: NDArray[np.float32]) -> list[int]:
    """Indices of ``boxes`` (n, 4, 2): rows from the top, each from the left.

    A box joins a row if its middle is within half a line height of the middle of the row's first
    (highest) box, the smaller of the two heights.
    """
    middles = boxes[:, :, 1].mean(axis=1)
    heights = np.ptp(boxes[:, :, 1], axis=1)
    lefts = boxes[:, :, 0].min(axis=1)
    rows: list[list[int]] = []
    for index in map(int, np.lexsort((lefts, middles))):
        first = rows[-1][0] if rows else index
        near = middles[index] - middles[first] <= min(heights[index], heights[first]) / 2
        if rows and near:
            rows[-1].append(index)
        else:
            rows.append([index])
    return [index for row in rows for index in sorted(row, key=lambda i: (lefts[i], middles[i], i))]


def _lines(texts: Sequence[str], scores: Sequence[float], boxes: Any) -> list[TextLine]:
    corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4, 2)
    order = [i for i in reading_order(corners) if texts[i].strip()]
    return [TextLine(texts[i], float(scores[i]), corners[i]) for i in order]


def _at_least(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture with black below and to the right, where it has fewer than ``side`` pixels."""
    height, width = image.shape[:2]
    missing = max(0, side - height), max(0, side - width)
    return np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0))) if any(missing) else image

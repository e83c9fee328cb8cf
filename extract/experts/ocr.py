"""Text on screen: every line on every scene's keyframe, as read and as corrected."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from extract.errors import MissingDependency, UsageError, to_install
from extract.expert import (
    Column,
    Expert,
    Model,
    Package,
    Precision,
    Resources,
    Streams,
    TableSpec,
    Tap,
    TwoStepModel,
)
from extract.experts._folders import folder_files, folder_of
from extract.experts._pictures import FrameTap
from extract.ops.text.bart import BartSpeller
from extract.ops.text.ocr_engines import (
    PADDLE_DETECTOR,
    PADDLE_RECOGNISER,
    PaddleOcrReader,
    RapidOcrReader,
    Reader,
    TextLine,
    check_onnxruntime_gpu,
    check_paddleocr,
    paddleocr_identity,
    rapidocr_identity,
)
from extract.ops.text.rapidocr_networks import ON_CPU, ON_GPU
from extract.ops.text.scripts import script_of
from extract.ops.text.spelling import Speller, SymSpellSpeller, dictionary_identity, unchanged
from extract.types import Item, MediaInfo, Row
from extract.weights.files import WeightFile

PADDLE_FILES = ("inference.pdiparams", "inference.json", "inference.yml")
FEW_LETTERS = 3  # fewer are read in textures, and so is
TALL = 0.5  # a line that is taller than this share of the frame's shorter side
BART = "oliverguhr/spelling-correction-english-base"


@dataclass(frozen=True)
class OcrOptions:
    """What determines the rows.

    ``min_score``: lines that are read with less confidence are dropped; ``doubtful_min_score`` is the same
    for what textures are taken for: one or two letters, or a line taller than half of the frame.
    ``max_side``: text is looked for on the frame with its longer side reduced to this many pixels.
    ``use_cls``: read every line upside down too, not only doubtful ones (RapidOCR only).
    ``engine``: ``rapidocr_cuda`` is RapidOCR on a GPU, in batches over frames.
    ``sample_seconds``: beside keyframes read as many further frames as it takes that no text is missed
    that is on screen so long within a scene, since text comes and goes within a shot and a fade joins
    shots; None reads keyframes only, as Sulun et al. 2024 do.
    """

    engine: Literal["rapidocr", "rapidocr_cuda", "paddleocr"] = "rapidocr"
    min_score: float = 0.5
    doubtful_min_score: float = 0.9
    max_side: int = 960
    use_cls: bool = False
    spelling: Literal["symspell", "bart", "none"] = "symspell"
    sample_seconds: float | None = 1.5

    def __post_init__(self) -> None:
        for name in ("min_score", "doubtful_min_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 0 to 1")
        if not 64 <= self.max_side <= 4096:
            raise ValueError(f"max_side is {self.max_side}; allowed: 64 to 4096 pixels")
        if self.sample_seconds is not None and not self.sample_seconds >= 0.1:
            raise ValueError(f"sample_seconds is {self.sample_seconds}; allowed: 0.1 or more, or none")
        if self.use_cls and self.engine == "paddleocr":
            raise ValueError("use_cls needs engine 'rapidocr' or 'rapidocr_cuda', not 'paddleocr'")


class OcrModel:
    """Reads frames, of which no row depends on another frame; callable from several threads."""

    def __init__(self, reader: Reader, speller: Speller, doubtful_min_score: float) -> None:
        self._reader = reader
        self._speller = speller
        self._doubtful_min_score = doubtful_min_score

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        return [self._rows(item, lines) for item, lines in zip(items, self.read(items), strict=True)]

    def read(self, items: Sequence[Item]) -> list[list[TextLine]]:
        """The lines of each frame."""
        images = [item.arrays["image"] for item in items]
        return [
            [line for line in lines if self._is_believed(line, image.shape)]
            for image, lines in zip(images, self._reader(images), strict=True)
        ]

    def _rows(self, item: Item, lines: Sequence[TextLine]) -> list[Row]:
        corrected = self._speller([line.text for line in lines], [line.score for line in lines])
        return line_rows(item, lines, corrected)

    def _is_believed(self, line: TextLine, shape: tuple[int, ...]) -> bool:
        """Detectors take a frame full of texture for one line, and recognisers read letters in it."""
        letters = sum(c.isalnum() for c in line.text)
        doubtful = letters < FEW_LETTERS or line.height > TALL * min(shape[:2])
        return not line.text or line.score >= self._doubtful_min_score or not doubtful


class NetworkSpelledOcrModel(TwoStepModel):
    """Frames are read as above; then a network corrects the lines of many at once."""

    def __init__(self, model: OcrModel, speller: BartSpeller) -> None:
        self._model = model
        self._speller = speller

    def first(self, items: Sequence[Item]) -> list[list[TextLine]]:
        return self._model.read(items)

    def second(self, items: Sequence[Item], found: Sequence[Any]) -> list[list[Row]]:
        corrected = iter(self._speller([line.text for lines in found for line in lines]))
        return [
            line_rows(item, lines, [*islice(corrected, len(lines))])
            for item, lines in zip(items, found, strict=True)
        ]


def line_rows(item: Item, lines: Sequence[TextLine], corrected: Sequence[str]) -> list[Row]:
    """A row for each line of a frame."""
    return [
        item.row(
            line=i,
            text=line.text,
            corrected=text,
            script=script_of(line.text),
            score=line.score,
            box=line.box.ravel(),
        )
        for i, (line, text) in enumerate(zip(lines, corrected, strict=True))
    ]


class Ocr(Expert):
    """One row for each line of text on each frame read: PP-OCRv6 small by RapidOCR (models of PaddleOCR).

    Frames are uint8 (height, width, 3) RGB at their native size. ``box`` is four corners (x, y) in pixels of
    the upright frame, ``score`` the recogniser's confidence from 0 to 1. There is no embedding. Sulun et al.
    2024 read keyframes alone.
    """

    summary = "text on the frames of every scene: RapidOCR (PP-OCRv6) and corrected spelling"
    cites = ("du2020ppocr",)
    Options = OcrOptions
    # 2: frames that are read, spelling, turned lines, scripts; 3: textures, foreign words; 4: other scripts
    version = 4
    lane = "host"
    upstream = ("scenes",)
    packages = (Package("rapidocr", "all"), Package("onnxruntime", "all"), Package("symspellpy", "all"))
    empty_reason = "no text on any frame"

    options: OcrOptions

    def tables(self) -> Mapping[str, TableSpec]:
        columns = (
            Column("scene", "int32", "index of the scene that the frame belongs to"),
            Column("line", "int32", "place in the frame's reading order, from 0"),
            Column("text", "string", "the line as read"),
            Column("corrected", "string", "the line with its spelling corrected"),
            Column(
                "script", "string", "script of its letters; 'other' where the engine knows none: no text then"
            ),
            Column("score", "float32", "the recogniser's confidence, 0 to 1; 0 where it knows no script"),
            Column("box", "list<float32>", "x1, y1 ... x4, y4: corners in pixels of the upright frame"),
        )
        return {self.name: TableSpec(columns)}

    def references(self) -> tuple[str, ...]:
        engine = ("rapidocr",) if self._by_rapidocr else ()
        speller = {"symspell": ("symspell",), "bart": ("lewis2020bart",)}.get(self.options.spelling, ())
        return (*self.cites, *engine, *speller)

    @property
    def _by_rapidocr(self) -> bool:
        return self.options.engine != "paddleocr"

    @property
    def host_batch(self) -> int:
        return ON_GPU.frames if self.options.engine == "rapidocr_cuda" else 1

    @property
    def on_device(self) -> bool:
        return self.options.engine == "rapidocr_cuda" or self.options.spelling == "bart"

    def streams(self) -> Streams:
        return Streams(keyframes=True, sample_seconds=self.options.sample_seconds)

    def tap(self, media: MediaInfo) -> Tap:
        return FrameTap()

    def weights(self) -> tuple[WeightFile, ...]:
        files: tuple[WeightFile, ...] = ()
        if self.options.engine == "paddleocr":
            files += _paddle("detector", PADDLE_DETECTOR) + _paddle("recogniser", PADDLE_RECOGNISER)
        return files + (folder_files("speller", BART, "MIT") if self.options.spelling == "bart" else ())

    def load(self, resources: Resources) -> Model:
        """Raises UsageError for random weights, WeightsError where a model's files are scattered."""
        if resources.random_seed is not None and self.weights():
            raise UsageError(
                "ocr cannot run with random weights here: use engine=rapidocr and spelling=symspell or "
                "spelling=none, which ship their files"
            )
        reader, doubtful = self._reader(resources), self.options.doubtful_min_score
        if self.options.spelling == "bart":
            speller = BartSpeller(folder_of(resources, "speller"), resources)
            return NetworkSpelledOcrModel(OcrModel(reader, unchanged, doubtful), speller)
        symspell = self.options.spelling == "symspell"
        return OcrModel(reader, SymSpellSpeller() if symspell else unchanged, doubtful)

    def _reader(self, resources: Resources) -> Reader:
        min_score, max_side = self.options.min_score, self.options.max_side
        if self._by_rapidocr:
            gpu = self.options.engine == "rapidocr_cuda"
            if gpu and resources.device == "cpu":
                raise UsageError("ocr.engine=rapidocr_cuda needs a GPU (--device cuda): use engine=rapidocr")
            return RapidOcrReader(
                min_score=min_score,
                max_side=max_side,
                use_cls=self.options.use_cls,
                device=resources.device if gpu else "cpu",
                at_once=ON_GPU if gpu else ON_CPU,
            )
        return PaddleOcrReader(
            detector=folder_of(resources, "detector"),
            recogniser=folder_of(resources, "recogniser"),
            min_score=min_score,
            max_side=max_side,
        )

    def computed_in(self, precision: Precision) -> Precision:
        """The one network on the device is BART."""
        return precision if self.options.spelling == "bart" else "float32"

    def settings(self) -> dict[str, Any]:
        """The options, and the identity of what comes inside packages: models and word lists."""
        packaged = dict(rapidocr_identity() if self._by_rapidocr else paddleocr_identity())
        if self._by_rapidocr or self.options.spelling == "symspell":  # RapidOCR's scripts need the words
            packaged |= dictionary_identity()
        return {**super().settings(), "packaged": packaged}

    def check_installed(self) -> None:
        """Only what the options need: the two engines cannot live in one environment."""
        if self._by_rapidocr:
            super().check_installed()
        else:
            check_paddleocr()
        if self.options.engine == "rapidocr_cuda":
            check_onnxruntime_gpu()
        if self.options.spelling == "bart" and importlib.util.find_spec("transformers") is None:
            raise MissingDependency(f"spelling 'bart' needs transformers: {to_install('bart')}")


def _paddle(part: str, model: str) -> tuple[WeightFile, ...]:
    return tuple(
        WeightFile(
            role=f"{part}/{file}",
            name=f"{model}/{file}",
            sha256=None,
            url=f"https://huggingface.co/PaddlePaddle/{model}/resolve/main/{file}",
            size_bytes=None,
            licence="Apache-2.0",
        )
        for file in PADDLE_FILES
    )

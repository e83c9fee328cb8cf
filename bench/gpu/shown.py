"""What the experts are shown: items that their own taps made of rendered trailers, and their models."""

from __future__ import annotations

import os
import pickle
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.demo_trailers import render_trailer
from bench.extract import OPTIONS
from bench.gpu.measuring import Gauge
from extract.detectors.service import Predict, ShotService
from extract.detectors.transnetv2 import WINDOW
from extract.engine.engine import Engine
from extract.engine.models import Models
from extract.engine.settings import EngineSettings
from extract.engine.task import VideoTask
from extract.expert import Expert, Model, Precision, Resources
from extract.experts._faces import FaceFinder
from extract.experts.face_emotion import FaceEmotionModel
from extract.ops.picture.faces import Faces, Image, faces_of
from extract.registry import make_expert
from extract.selection import ExtractConfig, select
from extract.types import Item, Row

SEED = 0
SPEECH = ("It was a dark and stormy night.", "Run!", "This summer, nobody is safe from the quiet harbour.")

Items = dict[str, list[Item]]


def make(name: str) -> Expert:
    """An expert with the options of bench.extract, whose Whisper is a small one."""
    return make_expert(name, OPTIONS.get(name))


def resources(gauge: Gauge, precision: Precision, batch_size: int, *, device: str | None = None) -> Resources:
    return Resources(
        device=device or gauge.device, precision=precision, batch_size=batch_size, random_seed=SEED
    )


def load(expert: Expert, with_what: Resources) -> Model:
    """The expert's model; of the shot detector its network, whose answers are its embeddings."""
    if not isinstance(expert, ShotService):
        model = expert.load(with_what)
        if isinstance(model, FaceEmotionModel):
            model.finder = _Planted(model.finder)
        return model
    predict = expert.predictor(with_what)
    if predict is None:
        raise ValueError(f"{expert.name} has no network with these options")
    return partial(_answers, predict)


class _Planted(FaceFinder):
    """Looks for faces, and has two in every frame: with weights from a seed none is found."""

    def __init__(self, finder: FaceFinder) -> None:
        self.detector, self._finder = finder.detector, finder

    def __call__(self, images: Sequence[Image]) -> list[Faces]:
        self._finder(images)
        boxes = np.array([[10, 10, 130, 150], [150, 20, 250, 140]], np.float32)
        return [faces_of(boxes, np.ones(2, np.float32), np.zeros((2, 5, 2), np.float32)) for _ in images]


def _answers(predict: Predict, items: Sequence[Item], /) -> list[list[Row]]:
    windows = np.stack([item.arrays["thumbnails"] for item in items])
    return [[{"embedding": answer}] for answer in predict(windows)]


def trailers(gauge: Gauge) -> Path:
    """A folder with the rendered trailers."""
    folder = gauge.folder / "trailers"
    for trailer in gauge.sizes.trailers:
        path = folder / f"{trailer.name}.mp4"
        if not path.exists():
            render_trailer(path, trailer)
    return folder


def shown(gauge: Gauge) -> Items:
    """Items of all measured experts; made once for all sections."""
    kept = gauge.folder / "items.pickle"
    if not kept.exists():
        kept.write_bytes(pickle.dumps(_make_items(gauge)))
    found: Items = pickle.loads(kept.read_bytes())
    return found


def many(items: Sequence[Item], count: int) -> list[Item]:
    """So many: the same again and again."""
    return list(islice(cycle(items), count))


def _make_items(gauge: Gauge) -> Items:
    experts = {name: make(name) for name in gauge.sizes.experts}
    found: Items = defaultdict(list)
    of_media = [name for name, e in experts.items() if e.reads_media and not e.detects_shots]
    if of_media:
        _cut(of_media, trailers(gauge), found)
    for name, expert in experts.items():
        if expert.detects_shots:
            windows = np.random.default_rng(SEED).integers(0, 256, (8, WINDOW, 27, 48, 3), np.uint8)
            found[name] = [Item(0.0, 1.0, {"thumbnails": window}) for window in windows]
        elif not expert.reads_media:
            found[name] = list(expert.read_tables(_speech()))
    return dict(found)


def _cut(names: Sequence[str], folder: Path, found: Items) -> None:
    """Decode the trailers and keep what the taps make of them, in the order of each video."""
    options = {name: OPTIONS[name] for name in names if name in OPTIONS} | {"scenes": {"detector": "content"}}
    config = ExtractConfig(experts=("scenes", *names), options=options, random_seed=SEED, device="cpu")
    selection = select(config)

    def keep(name: str, items: Sequence[Item], /) -> list[list[Row]]:
        found[name] += items
        return [[] for _ in items]

    models = Models({name: partial(keep, name) for name in selection.experts})
    with Engine(selection, EngineSettings(decoders=1), models=models) as engine:
        for path in sorted(folder.rglob("*.mp4")):
            task = VideoTask(path.stem, os.fsencode(path), tuple(selection.experts))
            for result in engine.run([task]):
                failures = [outcome.failure for outcome in result.outcomes.values() if outcome.failure]
                if failures:
                    raise RuntimeError(f"{path.name}: {failures[0].message}")


def _speech() -> Mapping[str, pa.Table]:
    rows = [
        {"start_seconds": i, "end_seconds": i + 0.5, "text": text, "language": "en", "hallucination": False}
        for i, text in enumerate(SPEECH)
    ]
    return {"whisper": pa.Table.from_pylist(rows)}

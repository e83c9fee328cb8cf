"""What every expert of the registry promises: rows that depend on no batch, and a stated precision.

Each expert's tap sees the same made-up film of three shots with half a minute of noise; its network has
weights drawn from a seed. To save time, networks see smaller pictures and shorter windows, and two
transformers have fewer of their equal layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray

from extract.expert import Expert, Model, Resources
from extract.experts._speech import chunks_of
from extract.experts.tags import SHOTS as SHOTS_OF_TAGS
from extract.experts.whisper import Transcriber
from extract.registry import expert_class, expert_names, make_expert
from extract.types import AudioBlock, Frame, Item, MediaInfo, Row, Scene
from extract.weights.checkpoints import seeded

DOCUMENT = Path(__file__).parents[3] / "docs" / "experts.md"
MEDIA = MediaInfo("film.mp4", 1, "mp4", 1.0, True, True)
FPS = 25
SHOTS = ((0, 6), (6, 13), (13, 18))
SOUND_SECONDS = 31  # one and a bit of Whisper's windows
WORDS = ("SUMMER", "NIGHT TRAIN", "THE END")
OPTIONS: Mapping[str, dict[str, Any]] = {
    "scenes": {"detector": "content"},
    "r2plus1d": {"model": "18_kinetics", "frames": 2},
    "i3d": {"frames": 9, "step": 9},
    "panns": {"model": "cnn14_emb128", "window_seconds": 1, "hop_seconds": 1},
    "beats": {"window_seconds": 1, "hop_seconds": 1},
    "whisper": {"model": "tiny", "sample_len": 3, "vad": False, "language_windows": 1},
    "ocr": {"sample_seconds": None},
    "faces": {"min_score": 0, "least_pixels": 16},  # whatever random weights take for a face
    "face_emotion": {"min_score": 0, "least_pixels": 16},
}
SMALL_PICTURES = ("senet", "places", "resnet152", "vgg16")  # they pool whatever size is left
SMALL_CLIPS = {"i3d.SHORT_SIDE": 96, "i3d.CROP": 64, "r2plus1d.CROP": 48}  # so do these
LAYERS = {"ast": 1, "face_emotion": 1, "sentiment": 1, "vit": 3}
ENCODERS = ("audio_spectrogram_transformer", "roberta", "vit")  # under which an encoder lies in its network
PASSES = 2  # of Whisper over a chunk: with random weights it says something on each of ten
HALVES = ("bfloat16", "float16")


@dataclass
class Case:
    """An expert with its model, two items, and their rows in one batch."""

    expert: Expert
    model: Model
    items: list[Item]
    rows: list[list[Row]]

    @cached_property
    def vectors(self) -> NDArray[np.float64]:
        return vectors(self.model, self.items, self.rows)


def picture(index: int) -> NDArray[np.uint8]:
    """(180, 320, 3): a texture that moves by 3 pixels a frame, and a word; another of both in each shot."""
    shot = next(i for i, (start, end) in enumerate(SHOTS) if start <= index < end)
    noise = np.random.default_rng(shot).normal(size=(180, 400, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4.0)
    image = (80 + 40 * shot + 20 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)
    image = np.ascontiguousarray(image[:, 3 * index : 3 * index + 320])
    cv2.putText(image, WORDS[shot], (30, 100), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 255), 3)
    return image


def frame(index: int, *, grey: bool = False) -> Frame:
    image = picture(index)
    return Frame(image[:, :, 1].copy() if grey else image, index, index / FPS, (index + 1) / FPS)


def film_items(expert: Expert) -> Iterator[Item]:
    """What the tap makes of the film, asked only for what it wants."""
    tap, streams = expert.tap(MEDIA), expert.streams()
    for number, (start, end) in enumerate(SHOTS if expert.follows_scenes else ()):
        for index in range(start, end):
            if streams.frames is not None:
                yield from tap.frame(frame(index, grey=streams.frames.grey))
            yield from tap.settled(start / FPS, index / FPS)
        middle = (start + end) // 2
        key = frame(middle)
        times = start / FPS, end / FPS, middle, middle, key.start_seconds, key.end_seconds
        yield from tap.scene(Scene(number, start, end, *times), key if streams.keyframes else None)
    if streams.audio_rate is not None:
        samples = np.random.default_rng(5).uniform(-0.5, 0.5, SOUND_SECONDS * streams.audio_rate)
        yield from tap.audio(AudioBlock(samples.astype(np.float32), streams.audio_rate, 0.0))
    yield from tap.close()


def stored_tables() -> dict[str, pa.Table]:
    """What experts of tables read: three cards, two segments of speech, more shots than fill an item."""
    times = [{"start_seconds": float(i), "end_seconds": i + 0.5} for i in range(3)]
    cards = [times[i] | {"scene": i, "text": word, "corrected": word} for i, word in enumerate(WORDS)]
    speech = [
        times[i] | {"text": text, "language": "en", "hallucination": False}
        for i, text in enumerate(("It was a dark and stormy night.", "Run!"))
    ]
    vectors = np.random.default_rng(0).normal(size=(SHOTS_OF_TAGS + 1, 512)).astype(np.float16)
    shots = {name: np.arange(len(vectors), dtype=float) for name in ("start_seconds", "end_seconds")}
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 512)
    clip = pa.table({**shots, "scene": np.arange(len(vectors), dtype=np.int32), "embedding": column})
    return {"ocr": pa.Table.from_pylist(cards), "whisper": pa.Table.from_pylist(speech), "clip": clip}


def items_of(expert: Expert) -> list[Item]:
    """The first item and the last, which is often another kind: a remainder, or of another table."""
    found = list(film_items(expert) if expert.reads_media else expert.read_tables(stored_tables()))
    ends = [found[0], found[-1]]
    if expert.name in SMALL_PICTURES:
        return [replace(item, arrays={"image": item.arrays["image"][96:128, 96:128]}) for item in ends]
    return ends


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small inputs gain nothing from more, and waiting for each other costs much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=expert_names())
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    expert = make_expert(request.param, OPTIONS.get(request.param))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("extract.experts.whisper.MAX_PASSES", PASSES)
        for constant, pixels in SMALL_CLIPS.items():
            patch.setattr(f"extract.experts.{constant}", pixels)
        patch.setattr("extract.weights.checkpoints.seeded", Drawn())
        state = torch.get_rng_state()
        model = load(expert, "float32")
        assert torch.equal(torch.get_rng_state(), state), "draws weights that are then overwritten"
        items = items_of(expert)
        yield Case(expert, model, items, model(items))


class Drawn:
    """``seeded``, which draws each tensor once: its name and shape say all of it."""

    def __init__(self) -> None:
        self._tensors: dict[tuple[str, torch.Size], torch.Tensor] = {}

    def __call__(self, module: torch.nn.Module, seed: int) -> None:
        parameters = {(name, p.shape): p for name, p in module.named_parameters()}
        if not parameters.keys() <= self._tensors.keys():
            seeded(module, seed)
            self._tensors |= {key: p.detach().clone() for key, p in parameters.items()}
        for key, parameter in parameters.items():
            parameter.data.copy_(self._tensors[key])


def load(expert: Expert, precision: Any) -> Any:
    """The model with weights drawn from seed 0."""
    model: Any = expert.load(Resources(random_seed=0, precision=expert.computed_in(precision)))
    if expert.name in LAYERS:
        inner = (getattr(model.network, name, None) for name in ENCODERS)
        network = next((each for each in inner if each is not None), model.network)
        network.encoder.layer = network.encoder.layer[: LAYERS[expert.name]]
    return model


def vectors(
    model: Any, items: Sequence[Item], rows: Sequence[Sequence[Row]] | None = None
) -> NDArray[np.float64]:
    """(rows, values): the embeddings; of Whisper, what it hears, before it decides for words."""
    if isinstance(model, Transcriber):
        heard = model.encode([chunk for item in items for chunk in chunks_of(item)])
        return np.stack([features.float().numpy().ravel() for features in heard]).astype(np.float64)
    made = model(items) if rows is None else rows
    return np.stack([row["embedding"] for mine in made for row in mine]).astype(np.float64)


def stated_errors() -> dict[str, list[str]]:
    """The table "Half precision" of docs/experts.md: cells by expert."""
    section = DOCUMENT.read_text().split("\n## Half precision\n")[1].split("\n## ")[0]
    return {name: cells.split(" | ") for name, cells in re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.M)}


def test_nothing_in_nothing_out(case: Case) -> None:
    assert case.model([]) == []
    if case.expert.reads_media:
        assert list(case.expert.tap(MEDIA).close()) == []
    else:
        assert list(case.expert.read_tables({})) == []


def test_rows_are_what_the_tables_say(case: Case) -> None:
    tables = case.expert.tables()
    assert len(case.items) >= 2 and any(case.rows), "the film has something for every expert"
    for item, rows in zip(case.items, case.rows, strict=True):
        spec = tables[item.table or case.expert.name]
        named = {"start_seconds", "end_seconds", *(column.name for column in spec.columns)}
        for row in rows:
            assert row.keys() == named | ({"embedding"} if spec.embedding is not None else set())
            assert spec.embedding is None or np.shape(row["embedding"]) == spec.embedding.shape


def test_rows_are_the_same_alone_and_in_another_order(case: Case) -> None:
    first, last = case.items
    why = "a row depends on its batch: use fixed_batches; if it depends on its place there, batches of 1"
    np.testing.assert_equal(case.model([first]), case.rows[:1], why)
    np.testing.assert_equal(case.model([last, first]), case.rows[::-1], why)
    with pytest.raises(AssertionError):  # or the order would not matter
        np.testing.assert_equal(case.rows[0], case.rows[1])


@pytest.mark.parametrize("precision", HALVES)
def test_half_precision_is_as_close_as_stated(case: Case, precision: str) -> None:
    """The worst row's relative error, by the norm of its vector."""
    tolerance = case.expert.tolerance
    model = load(case.expert, precision)
    if tolerance is None:
        np.testing.assert_equal(model(case.items), case.rows)
        return
    try:
        half = vectors(model, case.items)
    except RuntimeError as error:
        pytest.skip(f"torch cannot do this in {precision} on this CPU: {error}")
    errors = np.linalg.norm(half - case.vectors, axis=1) / np.linalg.norm(case.vectors, axis=1)
    assert 0 < errors.max() <= getattr(tolerance, precision), (
        f"{case.expert.name}: set its tolerance in {precision}, and with it docs/experts.md, "
        f'"Half precision": it is {errors.max():.2g}'
    )


@pytest.mark.parametrize("name", expert_names())
def test_the_docstring_gives_shapes_units_and_source(name: str) -> None:
    expert = make_expert(name)
    said = " ".join((type(expert).__doc__ or "").split())
    for table in expert.tables().values():
        if table.embedding is None:
            assert "no embedding" in said
        else:
            assert str(table.embedding.shape) in said, f"shape {table.embedding.shape}"
    assert re.search(r"\b(19|20)\d\d\b", said), "whose work it is"
    units = r"[Pp]ixels|Hz\b|RGB|seconds|WordPiece|units are in"
    assert re.search(units, said), "units of what it reads or gives"


def test_the_table_of_precision_has_every_expert() -> None:
    assert list(stated_errors()) == expert_names(), (
        'docs/experts.md, "Half precision": a row | `name` | bfloat16 | float16 | for each expert, by name; '
        '"same" for one that does not depend on it'
    )
    for name, cells in stated_errors().items():
        tolerance = expert_class(name).tolerance
        if tolerance is None:
            assert len(cells) == 2 and all(cell.startswith("always float32") for cell in cells), name
        else:
            said = [float(cell.removesuffix(" %")) / 100 for cell in cells]
            assert said == pytest.approx([tolerance.bfloat16, tolerance.float16]), name

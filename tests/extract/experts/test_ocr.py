"""The ocr expert on real models: rendered frames, a scanned page, title cards of the pseudo trailers."""

from __future__ import annotations

import importlib.util
import io
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.demo_trailers import DEMO, pictures
from bench.ocr import found, read_middles, trailers, words
from extract.errors import MediaError, MissingDependency, UsageError, WeightsError
from extract.expert import Resources
from extract.experts.ocr import Ocr, OcrModel, OcrOptions
from extract.ops.text import ocr_engines
from extract.ops.text.ocr_engines import PaddleOcrReader, RapidOcrReader, TextLine, reading_order
from extract.ops.text.spelling import unchanged
from extract.registry import make_expert
from extract.types import Frame, Item, MediaInfo, Row, Scene

MEDIA = MediaInfo("x.mp4", 1, "mov", 2.0, has_video=True, has_audio=False, width=640, height=360)
SCENE = Scene(3, 10, 20, 1.0, 2.0, 15, 15, 1.5, 1.6)


def card(*lines: tuple[int, int, str], size: int = 32) -> NDArray[np.uint8]:
    """A black frame (360, 640, 3) with white lines at (x, y)."""
    image = Image.new("RGB", (640, 360))
    draw = ImageDraw.Draw(image)
    for x, y, text in lines:
        draw.text((x, y), text, "white", font=ImageFont.load_default(size))
    return np.asarray(image)


def jpeg(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same after a coarse codec."""
    coded = io.BytesIO()
    Image.fromarray(picture).save(coded, "JPEG", quality=30)
    return np.asarray(Image.open(coded))


DOUBTFUL = "שיר הים"  # log-odds of 2.5
CARDS = [
    card((60, 60, "NORTHWIND PICTURES"), (60, 150, "presents a film")),
    card((40, 160, "ONE MAN STANDS ALONE")),
    card(),
    card((30, 40, "first"), (400, 40, "second"), (30, 250, "third"), (400, 250, "fourth")),
]


def items(images: list[NDArray[np.uint8]]) -> list[Item]:
    return [Item(i, i + 0.04, {"image": image}, {"scene": i}) for i, image in enumerate(images)]


def plain(rows: list[list[Row]]) -> list[list[dict[str, Any]]]:
    """Rows that compare with ==, to the last bit."""
    return [[{**r, "box": r["box"].tobytes()} for r in of_item] for of_item in rows]


@pytest.fixture(scope="module")
def model() -> OcrModel:
    loaded = Ocr().load(Resources())
    assert isinstance(loaded, OcrModel)
    return loaded


@pytest.fixture(scope="module")
def rows(model: OcrModel) -> list[list[Row]]:
    return model(items(CARDS))


def test_tap_sends_the_keyframe_as_it_is_on_its_own_interval() -> None:
    frame = Frame(CARDS[0], 15, 1.5, 1.6)
    (item,) = Ocr().tap(MEDIA).scene(SCENE, frame)
    assert (item.start_seconds, item.end_seconds, item.columns) == (1.5, 1.6, {"scene": 3})
    np.testing.assert_array_equal(item.arrays["image"], frame.image)
    with pytest.raises(MediaError, match="scene 3"):
        list(Ocr().tap(MEDIA).scene(SCENE, None))


def test_rows_fill_the_table(rows: list[list[Row]]) -> None:
    (spec,) = Ocr().tables().values()
    expected = {c.name for c in spec.columns} | {"start_seconds", "end_seconds"}
    assert all(row.keys() == expected for of_item in rows for row in of_item)
    first = rows[0][0]
    assert (first["scene"], first["line"], first["start_seconds"]) == (0, 0, 0)
    assert first["box"].dtype == np.float32 and first["box"].shape == (8,)


def test_reads_rendered_text_in_reading_order(rows: list[list[Row]]) -> None:
    assert [r["text"] for r in rows[0]] == ["NORTHWIND PICTURES", "presents a film"]
    assert [r["corrected"] for r in rows[0]] == ["NORTHWIND PICTURES", "presents a film"]
    assert [r["text"] for r in rows[3]] == ["first", "second", "third", "fourth"]
    assert [r["line"] for r in rows[3]] == [0, 1, 2, 3]
    assert all(0.9 < r["score"] <= 1 for r in rows[0])


def test_a_frame_without_text_has_no_rows(rows: list[list[Row]]) -> None:
    assert rows[2] == []


def test_boxes_are_pixels_of_the_frame(rows: list[list[Row]]) -> None:
    corners = rows[1][0]["box"].reshape(4, 2)
    lit = np.argwhere(CARDS[1].max(axis=2) > 128)[:, ::-1]  # (x, y) of the drawn pixels
    np.testing.assert_allclose(corners.min(axis=0), lit.min(axis=0), atol=12)
    np.testing.assert_allclose(corners.max(axis=0), lit.max(axis=0), atol=12)


def test_rows_depend_on_neither_batch_nor_thread(model: OcrModel, rows: list[list[Row]]) -> None:
    singly = items(CARDS)[::-1]
    with ThreadPoolExecutor(2) as pool:
        threaded = [of_item for (of_item,) in pool.map(lambda item: model([item]), singly)]
    assert plain(threaded[::-1]) == plain(rows)


def test_red_is_not_blue() -> None:
    """RapidOCR reads arrays as BGR, frames are RGB."""
    seen: list[NDArray[np.uint8]] = []

    def boxes(images: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        seen.extend(images)
        return [np.zeros((0, 4, 2), np.float32) for _ in images]

    reader = RapidOcrReader(min_score=0.5, max_side=960, use_cls=False)
    reader._own.networks = SimpleNamespace(boxes=boxes, read=lambda lines: [])
    red = np.zeros((40, 60, 3), np.uint8)
    red[..., 0] = 255
    assert reader([red]) == [[]]
    assert seen[0][0, 0].tolist() == [0, 0, 255] and seen[0].flags["C_CONTIGUOUS"]


def test_upside_down_lines_are_read_on_request() -> None:
    turned = np.ascontiguousarray(CARDS[1][::-1, ::-1])
    upright = Ocr(OcrOptions(use_cls=True)).load(Resources())
    assert [r["text"] for r in upright(items([turned]))[0]] == ["ONE MAN STANDS ALONE"]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_frames_are_read_as_they_stand(model: OcrModel, quarters: int) -> None:
    """In the order of the text itself, with boxes that begin at each line's own top left."""
    for frame in (CARDS[0], card((40, 60, "SOON"), (40, 160, "COMING TO CINEMAS"), (40, 260, "NOON"))):
        upright, turned = model(items([frame, np.ascontiguousarray(np.rot90(frame, quarters))]))
        assert [r["text"] for r in turned] == [r["text"] for r in upright]
        height, width = frame.shape[:2]
        for one, other in zip(upright, turned, strict=True):
            x, y = one["box"].reshape(4, 2).T
            moved = {1: (y, width - x), 2: (width - x, height - y), 3: (height - y, x)}[quarters]
            np.testing.assert_allclose(other["box"].reshape(4, 2), np.stack(moved, axis=1), atol=12)


@pytest.mark.parametrize(
    "text",
    ["СКОРО В КИНО", "МОСКВА СЛЕЗАМ НЕ ВЕРИТ", "только в кино", "СТАЛКЕР", "მალე კინოთეატრებში", "МОСКВА"],
)
def test_a_line_of_a_script_that_the_models_do_not_know_is_marked(model: OcrModel, text: str) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="its wheel carries a font of many scripts")
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    image = Image.new("RGB", (640, 360))
    draw = ImageDraw.Draw(image)
    draw.text((30, 60), "COMING SOON", "white", font=ImageFont.truetype(str(font), 32))
    draw.text((30, 200), text, "white", font=ImageFont.truetype(str(font), 32))
    latin, *other = model(items([np.asarray(image)]))[0]
    assert (latin["text"], latin["script"]) == ("COMING SOON", "latin")
    assert other and all((r["text"], r["script"], r["score"]) == ("", "other", 0.0) for r in other)


@pytest.mark.parametrize("beside", ["", "СКОРО В КИНО", DOUBTFUL])
def test_a_line_that_is_doubtful_alone_is_marked_beside_another(model: OcrModel, beside: str) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="its wheel carries a font of many scripts")
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), 40)
    image = Image.new("RGB", (960, 360))
    draw = ImageDraw.Draw(image)
    draw.text((30, 60), DOUBTFUL, "white", font=font)
    draw.text((30, 200), beside, "white", font=font)
    rows = model(items([np.asarray(image)]))[0]
    assert [row["script"] for row in rows] == (["other", "other"] if beside else ["latin"])


def test_min_score_drops_lines(rows: list[list[Row]]) -> None:
    least = min(r["score"] for r in rows[0])
    strict = Ocr(OcrOptions(min_score=(1 + least) / 2)).load(Resources())
    kept = strict(items(CARDS[:1]))[0]
    assert len(kept) < len(rows[0]) and all(r["score"] > least for r in kept)


@pytest.mark.parametrize(("width", "height"), [(16, 16), (1, 500), (3000, 20), (4000, 3)])
def test_odd_sizes_do_no_harm(model: OcrModel, width: int, height: int) -> None:
    assert model(items([np.zeros((height, width, 3), np.uint8)])) == [[]]


def test_is_silent_and_leaves_logging_alone(caplog: pytest.LogCaptureFixture) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger("RapidOCR").addHandler(handler)
    try:
        Ocr().load(Resources())(items(CARDS[2:3]))
    finally:
        logging.getLogger("RapidOCR").removeHandler(handler)
    assert stream.getvalue() == "" and caplog.text == ""
    assert (root.level, list(root.handlers)) == before


def test_never_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr_engines, "RAPIDOCR_MODELS", {"Det": "not_in_the_wheel.onnx"})
    ocr_engines.rapidocr_models.cache_clear()
    try:
        with pytest.raises(MissingDependency, match=r"not_in_the_wheel\.onnx.*force-reinstall"):
            Ocr().load(Resources())
    finally:
        ocr_engines.rapidocr_models.cache_clear()


def test_settings_pin_the_packaged_files(monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = Ocr().settings()["packaged"]
    # experts.md names these for the wheel of 3.10.0; other versions may carry others.
    if packaged["rapidocr"] == "3.10.0":
        assert packaged["PP-OCRv6_det_small.onnx"].startswith("090f04abcd9d9a74")
        assert packaged["PP-OCRv6_rec_small.onnx"].startswith("6f327246b50388f3")
    assert packaged["frequency_dictionary_en_82_765.txt"].startswith("68e9dc81c7e73bd7")
    assert Ocr(OcrOptions(spelling="none")).settings()["packaged"] == packaged  # scripts are told by it too
    assert Ocr(OcrOptions(min_score=0.6)).settings() != Ocr().settings()
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"{name} 3.2")
    paddle = Ocr(OcrOptions(engine="paddleocr", spelling="none"))
    assert paddle.settings()["packaged"] == {"paddleocr": "paddleocr 3.2"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_score": 1.5}, "min_score is 1.5"),
        ({"doubtful_min_score": -1}, "doubtful_min_score is -1"),
        ({"max_side": 10}, "max_side is 10"),
        ({"engine": "paddleocr", "use_cls": True}, "use_cls"),
        ({"engine": "tesseract"}, "rapidocr, rapidocr_cuda, paddleocr"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_expert("ocr", options)


def test_reading_order_goes_by_rows() -> None:
    def box(x: float, y: float, height: float = 20) -> list[list[float]]:
        return [[x, y], [x + 50, y], [x + 50, y + height], [x, y + height]]

    boxes = [box(200, 106), box(10, 100), box(10, 160), box(120, 157), box(300, 40, 60), box(10, 60)]
    assert reading_order(np.array(boxes, np.float32)) == [5, 4, 1, 0, 2, 3]


def test_random_weights_are_refused_where_there_are_weights() -> None:
    Ocr().load(Resources(random_seed=1))
    with pytest.raises(UsageError, match="random weights"):
        Ocr(OcrOptions(spelling="bart")).load(Resources(random_seed=1))


def test_scattered_weights_are_refused() -> None:
    scattered = {"speller/model": Path("a/model.safetensors"), "speller/config": Path("b/config.json")}
    with pytest.raises(WeightsError, match="a, b"):
        Ocr(OcrOptions(spelling="bart")).load(Resources(weights=scattered))


def test_paddleocr_is_called_as_documented(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Plumbing only: a stand-in with the 3.x interface; the library itself is not installed here."""
    made: list[dict[str, Any]] = []
    polygon = [[5, 6], [25, 6], [25, 16], [5, 16]]

    class PaddleOCR:
        def __init__(self, **arguments: Any) -> None:
            made.append(arguments)

        def predict(self, image: NDArray[np.uint8]) -> list[SimpleNamespace]:
            texts = ["HELLO"] if image.any() else []
            result = {
                "rec_texts": texts,
                "rec_scores": [0.9] * len(texts),
                "rec_polys": [polygon] * len(texts),
            }
            return [SimpleNamespace(json={"res": result})]

    module = ModuleType("paddleocr")
    module.__dict__["PaddleOCR"] = PaddleOCR
    monkeypatch.setitem(sys.modules, "paddleocr", module)
    monkeypatch.setattr(ocr_engines, "check_paddleocr", lambda: None)
    reader = PaddleOcrReader(detector=tmp_path / "d", recogniser=tmp_path / "r", min_score=0.4, max_side=960)
    nothing, (line,) = reader([np.zeros((30, 30, 3), np.uint8), np.full((30, 30, 3), 9, np.uint8)])
    assert nothing == []
    assert (line.text, line.score, line.box.tolist()) == ("HELLO", 0.9, polygon)
    assert len(made) == 1 and made[0]["text_detection_model_dir"] == str(tmp_path / "d")
    assert not made[0]["use_doc_unwarping"] and not made[0]["use_textline_orientation"]


def test_paddleocr_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"marquee-video\[paddleocr\]"):
        make_expert("ocr", {"engine": "paddleocr"}).check_installed()


def test_a_texture_is_no_line_of_text(model: OcrModel) -> None:
    """A coded frame of bricks is read as two or three letters, as high as the frame."""
    film = pictures(next(trailer for trailer in DEMO if not trailer.sound))
    bricks = items([jpeg(picture) for i, picture in enumerate(film) if i in (84, 96)])
    everything = Ocr(OcrOptions(doubtful_min_score=0)).load(Resources())
    assert [len(rows) for rows in everything(bricks)] == [1, 1]
    assert model(bricks) == [[], []]


@pytest.mark.parametrize(
    ("text", "score", "height", "kept"),
    [
        ("EFF", 0.58, 360, False), ("THE END", 0.85, 200, False), ("THE END", 0.95, 200, True),
        ("EE", 0.65, 40, False), ("1", 0.95, 300, True), ("IV", 0.93, 40, True), ("SOON", 0.58, 40, True),
        ("", 0.0, 300, True),
    ],
)  # fmt: skip
def test_short_and_tall_lines_need_more_confidence(text: str, score: float, height: int, kept: bool) -> None:
    box = np.array([(0, 0), (600, 0), (600, height), (0, height)], np.float32)
    believing = OcrModel(lambda images: [[TextLine(text, score, box)]], unchanged, 0.9)
    assert [row["text"] for row in believing(items(CARDS[:1]))[0]] == [text] * kept


def test_the_speller_sees_a_frame_at_a_time() -> None:
    seen: list[tuple[list[str], list[float]]] = []
    box = np.zeros((4, 2), np.float32)

    def speller(lines: Any, scores: Any) -> list[str]:
        seen.append((lines, scores))
        return [line.lower() for line in lines]

    read = [TextLine("A", 0.9, box), TextLine("B", 0.8, box)]
    rows = OcrModel(lambda images: [read for _ in images], speller, 0.0)(items(CARDS[:2]))
    assert seen == [(["A", "B"], [0.9, 0.8])] * 2
    assert [(r["text"], r["corrected"]) for r in rows[0]] == [("A", "a"), ("B", "b")]


def test_reads_a_scanned_page(media: Path, model: OcrModel) -> None:
    page = np.asarray(Image.open(media / "ocr_images" / "phototest.tif").convert("RGB"))
    truth = words((media / "ocr_images" / "phototest.txt").read_text().splitlines())
    (page_rows,) = model(items([page]))
    for column in ("text", "corrected"):
        read = words(r[column] for r in page_rows)
        assert (truth & read).total() >= 0.95 * truth.total()


def test_reads_the_title_cards(media: Path) -> None:
    known = list(trailers(media / "trailers" / "dev"))
    assert len(known) == 2
    for column in ("text", "corrected"):
        pairs = []
        for trailer in known:
            rows, _ = read_middles(trailer, {})
            pairs += [found(t, r, column) for t, r in zip(trailer.texts, rows, strict=True)]
        hits, there = map(sum, zip(*pairs, strict=True))
        assert there == 65 and hits >= 0.95 * there

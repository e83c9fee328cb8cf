"""SENet154 against the reference vectors; gluon's look-alike is refused."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from extract.errors import WeightsError
from extract.expert import Resources
from extract.experts._classes import imagenet
from extract.experts._frames import FrameOptions
from extract.experts.senet import CADENE_FILE, TIMM_FILE, Senet
from tests.fixtures.half_precision import needs_bfloat16

WHOLE_BATCHES = True  # of two rows, on one thread, a row's last bits depend on its place


@pytest.fixture(scope="module")
def checks(picture_checks: Any) -> Iterator[Any]:
    yield picture_checks(Senet(FrameOptions(classes=3)), "senet154", CADENE_FILE.name, "senet154")


def test_features_agree_with_the_reference(checks: Any, parity: Any) -> None:
    reference = parity.reference("senet154")
    parity.assert_close("senet154", "features", checks.rows[:2], reference["features"])
    parity.assert_close("senet154", "logits", checks.logits()[:, ::8], reference["logits"])
    parity.assert_close("senet154", "e2e_features", checks.rows[2:], reference["e2e_features"][:2])


def test_classes_are_those_of_the_published_head(checks: Any) -> None:
    checks.assert_classes_are_those_of_the_logits(imagenet())


def test_rows_do_not_depend_on_the_batch(checks: Any) -> None:
    checks.assert_rows_do_not_depend_on_the_batch()


@needs_bfloat16
def test_half_precision_points_the_same_way(checks: Any) -> None:
    assert checks.half_precision_cosines().min() >= 0.9999


def test_preprocessing_is_the_published_one_bit_for_bit(parity: Any) -> None:
    reference = parity.reference("preprocess")
    for index, (height, width, seed) in enumerate(reference["images"].tolist()):
        crop = Senet().crop(parity.inputs.image(height, width, seed))
        assert zlib.crc32(crop.tobytes()) == reference[f"im{index}_senet154_u8_crc32"]


def test_the_network_has_the_published_names_and_shapes(published: Any) -> None:
    with torch.device("meta"):
        state = Senet().build().state_dict()
    mine = {k: tuple(v.shape) for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert mine == published("senet154")


def test_both_published_files_are_known() -> None:
    (file,) = Senet().weights()
    assert file.name == "senet154-c7b49a05.pth" and file.sha256 == "c7b49a05"
    assert file.alternatives == (TIMM_FILE,) and TIMM_FILE.name == f"legacy_senet154-{TIMM_FILE.sha256}.pth"


def test_gluons_file_is_refused_by_name(tmp_path: Path) -> None:
    import timm

    with torch.device("meta"):
        state = timm.create_model("senet154", pretrained=False).state_dict()
    path = tmp_path / "gluon_senet154-70a1a3c0.pth"
    torch.save({name: torch.zeros(()).expand(value.shape) for name, value in state.items()}, path)
    with pytest.raises(WeightsError, match=r"gluon.*max-pool.*use senet154-c7b49a05.pth"):
        Senet().load(Resources(weights={"model": path}))

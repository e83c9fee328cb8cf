"""What was recorded of rows gives the arguments that make them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from extract.errors import StoreError
from extract.registry import expert_class
from extract.selection import ExtractConfig, select
from pipeline.recorded import extraction


def provenance(names: list[str], **settings: Any) -> dict[str, Any]:
    """As run.json and config.json have it, without extracting anything."""
    selection = select(ExtractConfig(experts=tuple(names), device="cpu", **settings))
    loaded: dict[str, Any] = json.loads(json.dumps(selection.described))
    return loaded


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        (["lowlevel", "spectrogram"], {"options": {"scenes": {"detector": "content", "threshold": 31}}}),
        (["ocr"], {"options": {"ocr": {"min_score": 0.75, "sample_seconds": "none"}}}),
        (["clip"], {"random_seed": 4, "precision": "bfloat16", "dtype": "float32"}),
        (["i3d"], {"random_seed": 4, "dtype": "float16"}),
        (["lowlevel", "spectrogram"], {"decode": "cuda"}),
    ],
)
def test_extraction_makes_what_was_recorded(names: list[str], settings: dict[str, Any]) -> None:
    wanted = provenance(names, **settings)
    arguments = extraction(wanted)
    assert select(ExtractConfig(device="cpu", **arguments)).described == wanted
    if "precision" in settings:
        assert arguments["precision"] == "bfloat16" and arguments["random_seed"] == 4


def test_the_engine_of_whisper_is_recorded() -> None:
    pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed: pip install ctranslate2")
    wanted = provenance(["whisper"], random_seed=4, options={"whisper": {"engine": "ctranslate2"}})
    assert select(ExtractConfig(device="cpu", **extraction(wanted))).described == wanted


def test_experts_of_several_precisions_are_refused() -> None:
    mixed = provenance(["clip"], random_seed=1) | {
        "senet": provenance(["senet"], random_seed=1, precision="float16")["senet"]
    }
    with pytest.raises(StoreError, match=r"several values of precision"):
        extraction(mixed)
    scenes = provenance(["scenes"], random_seed=1, decode="cuda")
    with pytest.raises(StoreError, match=r"several values of decode \(cpu, cuda\)"):
        extraction(provenance(["clip"], random_seed=1) | scenes)


def test_a_record_of_somebody_else_names_no_place_to_write_to(tmp_path: Path) -> None:
    foreign = provenance(["flow"])
    foreign["flow"]["settings"]["keep_flow"] = str(tmp_path / "kept")
    with pytest.raises(StoreError, match=r"flow\.keep_flow=.* may not name"):
        extraction(foreign)


def test_options_are_those_of_the_expert() -> None:
    arguments = extraction(provenance(["ocr"]))
    assert arguments["options"].keys() == {"scenes", "ocr"}
    assert arguments["options"]["ocr"].keys() == set(expert_class("ocr").Options.__dataclass_fields__)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"nobody": {"settings": {}}}, "'nobody' is of no expert"),
        ({"clip": {"settings": {}}}, "not recorded in full"),
    ],
)
def test_records_that_are_no_use_are_refused(record: dict[str, Any], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        extraction(record)


def test_vectors_of_several_types_are_refused_unless_the_tables_fix_theirs() -> None:
    mixed = provenance(["clip"], random_seed=1) | {
        "senet": provenance(["senet"], random_seed=1, dtype="float32")["senet"]
    }
    with pytest.raises(StoreError, match=r"several values of dtype \(float16, float32\)"):
        extraction(mixed)
    both = provenance(["clip", "flow"], random_seed=1)  # flow is float32 whatever was asked for
    assert extraction(both)["dtype"] == "float16"

"""The precision of a run where nobody says: the store's, else the device's usual one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from extract.options import Precision
from extract.selection import ExtractConfig, select
from pipeline.precision import with_precision
from pipeline.store.layout import FORMAT
from pipeline.work.config import Cluster, RunConfig

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


@pytest.fixture
def store(tmp_path: Path) -> Any:
    experts: dict[str, Any] = {}

    def make(expert: str, precision: Precision, **options: Any) -> Path:
        """Of one run after another; each leaves the other experts of the store as they are."""
        config = ExtractConfig(
            experts=(expert,),
            options={expert: options},
            random_seed=0,
            device="cpu",
            precision=precision,
        )
        made = select(config)
        experts.update({
            name: {"fingerprint": made.fingerprints[name], "tables": [], "upstream": [], "notes": {}}
            | {"made_of": made.described[name]}
            for name in made.experts
        })  # fmt: skip
        record = {"format": FORMAT, "options": {"precision": precision}, "experts": experts}
        (tmp_path / "run.json").write_text(json.dumps(record))
        return tmp_path

    return make


def run(out: Path, **given: Any) -> RunConfig:
    return RunConfig(videos=out, out=out, experts=("clip",), **given)


@pytest.mark.parametrize(
    ("given", "usual"),
    [
        ({"device": "cpu"}, "float32"),
        ({"cluster": Cluster(gpus="all")}, "bfloat16"),
        ({"cluster": Cluster(scheduler="tcp://localhost:8786"), "device": "cuda"}, "bfloat16"),
        ({"cluster": Cluster(scheduler="tcp://localhost:8786")}, "float32"),  # who knows its devices
    ],
)
def test_a_new_store_has_the_devices_usual_precision(tmp_path: Path, given: Any, usual: str) -> None:
    config, told = with_precision(run(tmp_path / "new", **given))
    assert config.precision == usual and not told


def test_a_stores_precision_goes_on_wherever_it_is_continued(store: Any) -> None:
    out = store("clip", "float32")
    config, told = with_precision(run(out, cluster=Cluster(gpus="all")))
    assert config.precision == "float32"
    assert len(told) == 1 and "--precision bfloat16 would extract all videos again" in told[0]
    config, told = with_precision(run(out, device="cpu"))
    assert config.precision == "float32" and not told
    config, told = with_precision(run(store("clip", "bfloat16"), device="cpu"))
    assert config.precision == "bfloat16" and "default on this device is float32" in told[0]


def test_what_is_asked_for_is_not_asked_about(store: Any) -> None:
    config, told = with_precision(run(store("clip", "float32"), precision="float16", device="cpu"))
    assert config.precision == "float16" and not told


def test_a_network_that_only_some_options_have_counts(store: Any) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("rapidocr")
    config, told = with_precision(run(store("ocr", "float32", spelling="bart"), cluster=Cluster(gpus="all")))
    assert config.precision == "float32" and len(told) == 1
    config, told = with_precision(run(store("ocr", "float32"), cluster=Cluster(gpus="all")))
    assert config.precision == "bfloat16" and not told


def test_the_rows_of_the_runs_own_experts_decide(store: Any) -> None:
    """Where a later run of other experts had another precision."""
    store("clip", "float32")
    out = store("vit", "bfloat16")
    config, told = with_precision(run(out, cluster=Cluster(gpus="all")))
    assert config.precision == "float32" and len(told) == 1
    config, _ = with_precision(RunConfig(videos=out, out=out, experts=("vit",), device="cpu"))
    assert config.precision == "bfloat16"
    config, _ = with_precision(RunConfig(videos=out, out=out, experts=("clip", "vit"), device="cpu"))
    assert config.precision == "bfloat16"  # they differ: the last run's


def test_rows_that_are_always_float32_bind_nobody(store: Any) -> None:
    config, told = with_precision(run(store("lowlevel", "float32"), cluster=Cluster(gpus="all")))
    assert config.precision == "bfloat16" and not told


def test_experts_that_are_always_float32_have_one_fingerprint() -> None:
    whole, half = (
        select(
            ExtractConfig(
                experts=("clip",),
                options={"scenes": {"detector": "content"}},
                random_seed=0,
                device="cpu",
                precision=precision,
            )
        )
        for precision in PRECISIONS
    )
    assert whole.fingerprints["scenes"] == half.fingerprints["scenes"]
    assert whole.fingerprints["clip"] != half.fingerprints["clip"]

"""Fixtures that the whole suite shares: reference vectors, real media where they are present."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings

from tests.fixtures.browser import chromium
from tests.parity import inputs_rule, weights_rule

if TYPE_CHECKING:
    from tests.fixtures.hostile import Server

# A shell that runs the suite in the background has SIGINT ignored, and what tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# As in an active environment: messages then name `python` and `marquee` without their folder.
os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])

PARITY = Path(__file__).parent / "parity"
SHARED = Path(__file__).parents[2] / "shared"

settings.register_profile("patient", deadline=None)  # no test depends on time
settings.load_profile("patient")


# What a test needs says what it costs: these marks come with the fixtures, others stand at the tests.
MARKS = {
    "shared": "media",
    "parity": "slow",  # whole checkpoints of published networks
    "picture_checks": "slow",
    "s3_server": "slow",
    "browser": "slow",
    "small_trailers": "slow",  # rendered, and made for whole extractions
    "real_ffmpeg": "slow",
}


# Folders and files whose tests run networks, extractions, trainings or processes of their own, as measured.
SLOW = (
    "bench/", "extract/decoder/test_s", "extract/detectors/", "extract/experts/", "extract/media/test_c",
    "extract/media/test_s", "extract/nets/", "extract/ops/motion/test_tvl1.py", "extract/weights/",
    "pipeline/cli/", "pipeline/copies/", "pipeline/recompute/", "pipeline/store/test_parts.py",
    "pipeline/store/test_removal.py", "pipeline/work/", "test_hostile_names.py", "test_keep_flow.py",
    "test_nasty.py", "test_sulun_preset.py", "train/cli/", "train/comparison/", "train/finetuning/",
    "train/models/", "train/retrieval/", "train/runs/", "train/test_end_to_end.py", "train/test_imports.py",
    "train/views/",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in MARKS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKS[name])
        if str(item.path.relative_to(Path(__file__).parent)).startswith(SLOW):
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """What all tests share stays: a search for garbage, which some run often, need not look at it again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


class Vectors:
    """Reference vectors of published networks, and the rules of their inputs: parity/README.md."""

    folder = PARITY
    rule = weights_rule
    inputs = inputs_rule

    def __init__(self) -> None:
        self.tolerances = json.loads((self.folder / "tolerances.json").read_text())

    def reference(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / f"{name}.npz") as arrays:
            return dict(arrays)

    def assert_close(self, name: str, array: str, mine: Any, stored: np.ndarray) -> None:
        """Max |mine - stored| <= the tolerance that is published with the vectors."""
        mine = np.asarray(mine)
        assert mine.shape == stored.shape, f"{name}/{array}: {mine.shape = }, {stored.shape = }"
        worst = float(np.abs(mine.astype(np.float64) - stored.astype(np.float64)).max())
        assert worst <= self.tolerances[name][array], f"{name}/{array}: off by {worst}"


class Parity(Vectors):
    """The same with whole networks under synthetic weights."""

    def __init__(self, checkpoints: Path) -> None:
        super().__init__()
        self.checkpoints = checkpoints

    def checkpoint(
        self, table: str, name: str, *, container: str | None = None, only: str | None = None
    ) -> Path:
        """A synthetic checkpoint in the published file format under its published name."""
        out = self.checkpoints / (container or "default") / (only or "whole") / name
        if not out.exists():
            from tests.parity import make_checkpoint  # brings torch

            out.parent.mkdir(parents=True, exist_ok=True)
            shapes = self.rule.load_table(self.folder / "shapes" / f"{table}.json")
            make_checkpoint.write(shapes, 11, out, container, only)
        return out


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside this checkout: real media, see CONTRIBUTING.md")
    return SHARED


@pytest.fixture(scope="session")
def media(shared: Path) -> Path:
    return shared / "media"


@pytest.fixture(scope="session")
def vectors() -> Vectors:
    """What needs no checkpoint."""
    return Vectors()


@pytest.fixture(scope="session")
def parity(tmp_path_factory: pytest.TempPathFactory) -> Parity:
    return Parity(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def nothing_of_others() -> None:
    """For tests that search for garbage often: what other tests left is out of its sight as well."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that notices what is asked of it."""
    from tests.fixtures.hostile import canary_server  # brings PyAV

    with canary_server() as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


PLANTED_EXPERTS = Path(__file__).parent / "fixtures" / "experts"


@pytest.fixture
def planted_experts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test experts of ``tests/fixtures/experts`` are found here and in child processes."""
    import extract.experts

    monkeypatch.setenv("MARQUEE_EXPERTS", str(PLANTED_EXPERTS))
    monkeypatch.setattr(extract.experts, "__path__", [*extract.experts.__path__, str(PLANTED_EXPERTS)])


@pytest.fixture(scope="session")
def small_trailers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three silent trailers of three shots each, at 12 pictures a second: a.mp4, b.mp4, c.mp4."""
    from bench.demo_trailers import Shot, Texture, Trailer, render_trailer

    folder = tmp_path_factory.mktemp("trailers")
    textures: tuple[Texture, ...] = ("clouds", "bricks", "waves", "discs")
    for i, name in enumerate("abc"):
        shots = tuple(Shot(1.5, texture) for texture in (*textures[i:], *textures[:i])[:3])
        render_trailer(folder / f"{name}.mp4", Trailer(name, shots, fps=12, sound=False))
    return sorted(folder.iterdir())

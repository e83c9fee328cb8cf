"""The benchmark of the index on a few short vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.retrieve import Films, answer, build, compare
from pipeline.vectors.vector_file import VectorFile, unit

FILMS = Films(width=24, clusters=30, directions=6, noise=0.1)


def test_films_are_the_same_again_and_of_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    films = np.concatenate(list(FILMS.blocks(400, part=0)))
    assert films.shape == (400, 24)
    np.testing.assert_array_equal(films, np.concatenate(list(FILMS.blocks(400, part=0))))
    other = np.concatenate(list(FILMS.blocks(400, part=1)))
    nearest = (unit(other) @ unit(films).T).max(axis=1)
    assert 0.8 < np.median(nearest) < 0.999, "of the same kinds, and other films"
    spectrum = np.linalg.svd(films - films.mean(axis=0), compute_uv=False) ** 2
    outside = spectrum[6:].sum() / spectrum.sum()
    assert 0.005 < outside < 0.1, "noise in all directions"


def test_building_and_answering_are_measured(tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="marquee-video[index] is not installed")
    vectors = VectorFile.write(tmp_path / "vectors.f16", FILMS.blocks(1500, part=0))
    built = build(vectors)
    assert built["bytes"] > 1500 * 24 and built["searches"][0]["recall"] > 0.99
    queries = unit(np.concatenate(list(FILMS.blocks(9, part=1))))
    found = answer(vectors, queries)
    assert found["recall"] > 0.95 and len(found["warm"]) == len(found["cold"]) == 9
    assert min(found["warm"] + found["cold"] + found["exact"] + [built["seconds"]]) > 0


def test_all_of_it_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faiss", reason="marquee-video[index] is not installed")
    compare(tmp_path, FILMS, videos=1200, queries=4)
    shown = capsys.readouterr().out
    assert "of memory" in shown and "| index, cold |" in shown and "| exact |" in shown

"""Every expert has something to cite, and what is cited is there."""

from __future__ import annotations

import re

import pytest

from extract.registry import expert_names, make_expert
from pipeline.about.cite import ALWAYS, LIBRARIES, bibliography, cite
from pipeline.store.layout import Store


@pytest.mark.parametrize("name", expert_names())
def test_every_expert_cites_entries_that_are_there(name: str) -> None:
    references = make_expert(name).references()
    assert references, f"extract/experts/{name}.py: cites = (keys of pipeline/about/references.bib)"
    assert [key for key in references if not key.startswith("@") and key not in bibliography()] == []


def test_the_bibliography_is_bibtex_with_one_entry_for_each_key() -> None:
    text = "\n\n".join(bibliography().values())
    assert len(re.findall(r"^@", text, re.MULTILINE)) == len(bibliography())
    for key, entry in bibliography().items():
        assert entry.count("{") == entry.count("}") and entry.endswith("\n}"), key
        fields = dict(re.findall(r"^  (\w+) = \{(.+)\},?$", entry, re.MULTILINE))
        assert {"author", "title"} <= fields.keys(), key
    assert {*ALWAYS, *LIBRARIES.values()} <= bibliography().keys()


@pytest.mark.parametrize(
    ("name", "options", "cited"),
    [
        ("scenes", {"detector": "ffmpeg"}, ("ffmpeg",)),
        ("ocr", {"spelling": "none"}, ("du2020ppocr", "rapidocr")),
        ("resnet152", {"weights": "places365"}, ("he2016resnet", "zhou2018places")),
        ("r2plus1d", {"model": "18_kinetics"}, ("tran2018r2plus1d", "kay2017kinetics")),
    ],
)
def test_options_decide_what_is_cited(name: str, options: dict[str, str], cited: tuple[str, ...]) -> None:
    assert make_expert(name, options).references() == cited


def test_a_store_cites_what_made_its_rows(films: Store) -> None:
    found = cite(films)
    assert {
        "pyscenedetect",
        "rasheed2005",
        "radford2022whisper",
        "paszke2019pytorch",
        *ALWAYS,
    } <= found.entries.keys()
    assert "soucek2020transnet" not in found.entries  # shots are PySceneDetect's
    assert [(one.file, one.licence) for one in found.licences] == [("large-v3-turbo.pt", "MIT")]

"""docs/experts.md is a page to cite: every expert is there with every fact that a citation needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from extract.expert import Expert
from extract.registry import expert_names, make_expert

PAGE = Path(__file__).parents[1] / "docs" / "experts.md"
# What names a fact, as a bold label, in a table, or in running text.
FACTS = {
    "model": r"\*\*Model\.\*\*|\| model \||et al\. \d{4}|& \w+ \d{4}",
    "training data": r"\b[Tt]rained\b|\bto train on\b|[Tt]raining data",
    "file": r"\*\*Files?\.\*\*|\| file \||\bfile, hash\b",
    "hash": r"SHA-256|[Hh]ash\b|git blob",
    "licence": r"\bMIT\b|Apache-2\.0|BSD-3-Clause|\bCC BY\b|licence of weights",
    "preprocessing": r"\*\*Preprocessing\.?\*\*|\| preprocessing \|",
    "layer": r"\*\*Layer\.\*\*|\| layer \|",
    "cost": r"GFLOP",
    "paper": r"\*\*Papers?\.\*\*|differs from|et al\. 2021",
}


def sections() -> dict[str, str]:
    """Text of each expert's section."""
    parts = re.split(r"^#{1,3} (.+)$", PAGE.read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def section(name: str) -> str:
    found = sections().get(name)
    assert found is not None, f"docs/experts.md: add a section '### {name}' that says its {', '.join(FACTS)}"
    return found


@pytest.mark.parametrize("name", expert_names())
def test_every_expert_has_its_section_with_every_fact(name: str) -> None:
    text = section(name)
    missing = [fact for fact, pattern in FACTS.items() if not re.search(pattern, text)]
    assert not missing, f"docs/experts.md, section {name}: add its {', '.join(missing)}"


@pytest.mark.parametrize("name", expert_names())
def test_files_hashes_licences_and_dimensions_are_those_of_the_code(name: str) -> None:
    expert: Expert = make_expert(name)
    text = section(name)
    for file in expert.weights():
        for published in (file, *file.alternatives):
            stem = published.name.rpartition("/")[2]
            assert published.name in text or stem in text, f"docs/experts.md, section {name}: add {stem}"
            assert published.licence in text, f"docs/experts.md, section {name}: add {published.licence}"
            digest = published.sha256 or published.git_blob
            stated = digest is None or digest[:8] in text or "in its address" in text
            assert stated, f"docs/experts.md, section {name}: add the hash {digest}"
    for table in expert.tables().values():
        for size in table.embedding.shape if table.embedding is not None else ():
            assert re.search(rf"\b{size}\b", text), f"docs/experts.md, section {name}: add {size} values"


def test_the_hashes_of_packaged_files_are_those_of_the_code() -> None:
    from extract.detectors.transnetv2 import WEIGHTS_SHA256
    from extract.ops.text.ocr_engines import rapidocr_identity

    assert WEIGHTS_SHA256 in sections()["scenes"]
    digests = {key: value for key, value in rapidocr_identity().items() if key.endswith(".onnx")}
    assert digests and all(f"`{key}`" in sections()["ocr"] for key in digests)
    assert all(value in sections()["ocr"] for value in digests.values())

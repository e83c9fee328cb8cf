"""What to cite for a store: papers and libraries behind its tables, and the licences of the weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from extract.declarations import Expert
from extract.errors import MarqueeError
from extract.registry import expert_class, expert_names, make_expert
from pipeline.store.layout import Store, Target

BIBLIOGRAPHY = Path(__file__).parent / "references.bib"
ALWAYS = ("marquee", "pyav", "ffmpeg", "arrow")  # what every store is made with
LIBRARIES = {  # by the module that an expert declares
    "cv2": "bradski2000opencv", "numba": "lam2015numba", "onnxruntime": "onnxruntime",
    "scenedetect": "pyscenedetect", "timm": "timm", "torch": "paszke2019pytorch",
    "torchvision": "torchvision", "transformers": "wolf2020transformers",
}  # fmt: skip


@dataclass(frozen=True)
class Licence:
    """A weight file that rows were made with, and its licence."""

    expert: str
    file: str
    licence: str


@dataclass(frozen=True)
class Citations:
    """``entries``: BibTeX by key; ``unknown``: experts that this installation does not have."""

    entries: dict[str, str]
    licences: tuple[Licence, ...]
    unknown: tuple[str, ...] = ()


def cite(store: Store) -> Citations:
    """For the experts whose rows are current, with the options that they were made with."""
    targets = store.targets()
    unknown = [target.expert for target in targets if target.expert not in expert_names()]
    experts = _experts(targets)
    entries = dict(_entries(experts))
    licences = tuple(
        Licence(expert.name, file.name, file.licence) for expert in experts for file in expert.weights()
    )
    return Citations(entries, licences, tuple(unknown))


def references_of(targets: Sequence[Target]) -> list[str]:
    """The keys of what to cite for these rows."""
    return list(dict(_entries(_experts(targets))))


def bibliography() -> dict[str, str]:
    """Every entry of ``references.bib`` by its key."""
    entries = BIBLIOGRAPHY.read_text("utf-8").strip().split("\n\n")
    return {_key(entry): entry for entry in entries}


def _experts(targets: Sequence[Target]) -> list[Expert]:
    known = expert_names()
    return [_expert(t.expert, t.made_of.get("settings", {})) for t in targets if t.expert in known]


def _expert(name: str, settings: dict[str, object]) -> Expert:
    """As the rows were made, if this version still has those options, else with its defaults."""
    try:
        known = {field.name for field in fields(expert_class(name).Options)}
        return make_expert(name, {key: value for key, value in settings.items() if key in known})
    except MarqueeError:
        return make_expert(name)


def _entries(experts: list[Expert]) -> Iterator[tuple[str, str]]:
    known = bibliography()
    libraries = [LIBRARIES[p.module] for e in experts for p in e.packages if p.module in LIBRARIES]
    if any(expert.lane == "device" and expert.weights() for expert in experts):
        libraries.append(LIBRARIES["torch"])
    references = [reference for expert in experts for reference in expert.references()]
    for reference in sorted({*ALWAYS, *libraries, *references}):
        if reference.startswith("@"):
            yield _key(reference), reference
        else:
            yield reference, known.get(reference, f"% {reference}: not in the bibliography")


def _key(entry: str) -> str:
    match = re.match(r"@\w+\{([^,]+),", entry)
    if match is None:
        raise ValueError(f"not a BibTeX entry: {entry[:60]!r}")
    return match[1]

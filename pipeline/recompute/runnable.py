"""Which experts of a store can be run again here, in how many extractions; why the others cannot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from extract.errors import MarqueeError
from extract.selection import ExtractConfig, Selection, select
from extract.weights.files import MissingWeights
from pipeline.recorded import extraction
from pipeline.store.layout import Target

Records = Mapping[str, Mapping[str, Any]]


def runnable(
    targets: Iterable[Target], *, weights: Path | None, device: str
) -> tuple[list[ExtractConfig], dict[str, str]]:
    """The extractions that make these experts' rows again, and by expert the reason why there is none.

    Nothing is downloaded. An expert is in one extraction, with what it reads from in each.
    """
    known = {target.expert: target for target in targets}
    groups: list[dict[str, Mapping[str, Any]]] = []
    reasons: dict[str, str] = {}
    for name, target in known.items():
        try:
            needed = needed_for(name, known)
            selection = select(_config(needed, weights, device))
            selection.check_decoder()
        except MissingWeights as error:
            reasons[name] = "weights missing: " + ", ".join(row.file.name for row in error.rows)
            continue
        except MarqueeError as error:
            reasons[name] = str(error)
            continue
        why = unlike(target, selection)
        if why is not None:
            reasons[name] = why
        elif not any(name in group for group in groups):
            _join(groups, needed)
    return [_config(group, weights, device) for group in groups], reasons


def needed_for(name: str, known: Mapping[str, Target]) -> dict[str, Mapping[str, Any]]:
    """What this expert and all that it reads from were made of, upstream first."""
    if name not in known:
        raise MarqueeError(f"it reads from {name!r}, which the store does not have")
    needed: dict[str, Mapping[str, Any]] = {}
    for parent in known[name].upstream:
        needed |= needed_for(parent, {other: known[other] for other in known if other != name})
    return needed | {name: known[name].made_of}


def _config(made_of: Records, weights: Path | None, device: str) -> ExtractConfig:
    return ExtractConfig(**extraction(made_of), weights=weights, download=False, device=device)


def _join(groups: list[dict[str, Mapping[str, Any]]], needed: dict[str, Mapping[str, Any]]) -> None:
    """Into the first extraction whose precision, dtype and seed are these experts' too."""
    for group in groups:
        try:
            extraction(group | needed)
        except MarqueeError:
            continue
        group |= needed
        return
    groups.append(needed)


def unlike(target: Target, selection: Selection) -> str | None:
    """Why this installation would not make these rows, or None if it would."""
    if selection.fingerprints[target.expert] == target.fingerprint:
        return None
    here = selection.described[target.expert]
    parts = [_differing(key, target.made_of.get(key), value) for key, value in here.items()]
    named = ", ".join(part for part in parts if part)
    if not named:
        return f"fingerprint {target.fingerprint} does not follow from what is recorded of it"
    return f"another version's fingerprint: {named}"


def _differing(key: str, then: Any, now: Any) -> str:
    """What of this part of a fingerprint differs."""
    if then == now:
        return ""
    if not (isinstance(then, Mapping) and isinstance(now, Mapping)):
        return f"{key} was {then} and is {now}"
    names = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    return f"{key} differ ({', '.join(names)})"

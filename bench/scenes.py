"""Precision, recall and F1 of the shot detectors on films whose cuts are known.

``python -m bench.scenes --media DIR``, where DIR holds ``trailers/dev/*.json`` (exact cuts and
gradual transitions of made-up trailers) and ``ground_truth_real.json`` (cuts of real clips, used
where ``hard_cuts_complete`` is true).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from extract.detectors.base import Interval
from extract.detectors.transnetv2 import LocalPredictor
from extract.expert import Resources
from extract.experts.scenes import Scenes, ScenesOptions
from extract.media.picture import Picture
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read

DETECTORS = ("transnetv2", "content", "adaptive", "ffmpeg")
TOLERANCE = 1  # frames


@dataclass(frozen=True)
class Truth:
    """Hard cuts (first frame of the new shot) and gradual transitions (seconds from the first frame)."""

    path: Path
    cuts: tuple[int, ...]
    gradual: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Counts:
    """Detected boundaries that are cuts, that are none, and cuts that were missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.right + other.right, self.wrong + other.wrong, self.missed + other.missed)

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong) if self.right else 0.0

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed) if self.right else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.right / (2 * self.right + self.wrong + self.missed) if self.right else 0.0


def score(scenes: Sequence[Interval], cuts: Iterable[int], gradual: Iterable[Interval]) -> Counts:
    """Hard cuts within one frame.

    A boundary is what lies between two scenes: nothing at a cut, some frames in a transition. It
    finds the cut ``k`` if ``k`` is at most one frame away from it; each boundary finds one cut and
    each cut is found once. A boundary that finds none but touches a gradual transition (again
    within one frame) is neither right nor wrong. Gradual transitions are not searched for.
    """
    gaps = [(before[1], after[0]) for before, after in pairwise(scenes)]
    open_cuts = sorted(cuts)
    total = len(open_cuts)
    wrong = 0
    for first, last in gaps:
        found = next((k for k in open_cuts if first - TOLERANCE <= k <= last + TOLERANCE), None)
        if found is not None:
            open_cuts.remove(found)
        elif not any(start - TOLERANCE <= last and first <= end + TOLERANCE for start, end in gradual):
            wrong += 1
    return Counts(total - len(open_cuts), wrong, len(open_cuts))


def truths(media: Path) -> dict[str, list[Truth]]:
    """The known films by group: each trailer for itself, the real clips together."""
    groups: dict[str, list[Truth]] = {}
    for path in sorted((media / "trailers" / "dev").glob("*.json")):
        known = json.loads(path.read_text())
        groups[path.stem] = [
            Truth(
                path.with_name(known["file"]),
                tuple(cut["frame"] for cut in known["hard_cuts"]),
                tuple((t["start"], t["end"]) for t in known["gradual_transitions"]),
            )
        ]
    real = json.loads((media / "ground_truth_real.json").read_text())
    groups["real clips"] = [
        Truth(
            media / name,
            tuple(known["hard_cuts_frames"]),
            tuple((t["start"], t["end"]) for t in known.get("gradual", ())),
        )
        for name, known in real.items()
        if isinstance(known, dict) and known.get("hard_cuts_complete")
    ]
    return groups


class Benchmark:
    """Runs detectors over films, each film decoded once, and adds up what they found."""

    def __init__(self, detectors: Sequence[str], device: str) -> None:
        self.experts = {name: Scenes(ScenesOptions(detector=name)) for name in detectors}  # type: ignore[arg-type]
        self.networks = {
            name: expert.predictor(Resources(device=device)) for name, expert in self.experts.items()
        }
        self.seconds = dict.fromkeys(detectors, 0.0)
        self.frames = 0

    def run(self, truth: Truth) -> dict[str, Counts]:
        media = probe(str(truth.path))
        running: dict[str, Any] = {}
        for name, expert in self.experts.items():
            network = self.networks[name]
            running[name] = expert.make_detector(media, LocalPredictor(network) if network else None)
        found: dict[str, list[Interval]] = {name: [] for name in running}
        starts: list[float] = []
        for piece in read(str(truth.path), media=media, video=True, sounds=(), counts=DecodeCounts()):
            if not isinstance(piece, Picture):
                continue
            starts.append(piece.start_seconds)
            for name, detector in running.items():
                began = time.perf_counter()
                found[name] += detector.push(piece)
                self.seconds[name] += time.perf_counter() - began
        for name, detector in running.items():
            began = time.perf_counter()
            found[name] += detector.finish()
            self.seconds[name] += time.perf_counter() - began
        self.frames += len(starts)
        origin = starts[0]
        gradual = [
            (sum(t - origin < start for t in starts), sum(t - origin < end for t in starts))
            for start, end in truth.gradual
        ]
        return {name: score(scenes, truth.cuts, gradual) for name, scenes in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Shot detectors against known cuts, as a Markdown table.")
    parser.add_argument("--media", type=Path, required=True, help="folder with the films and their truth")
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=DETECTORS)
    parser.add_argument("--device", default="cpu", help="where TransNetV2 runs (default: cpu)")
    arguments = parser.parse_args()
    benchmark = Benchmark(arguments.detectors, arguments.device)
    groups = truths(arguments.media)
    totals = {
        (name, group): Counts() for name in arguments.detectors for group in [*groups, "all"]
    }  # by detector and group
    for group, films in groups.items():
        for film in films:
            for name, counts in benchmark.run(film).items():
                totals[name, group] += counts
                totals[name, "all"] += counts
    print("| detector | films | cuts | precision | recall | F1 |\n|---|---|---|---|---|---|")
    for (name, group), counts in totals.items():
        cuts = counts.right + counts.missed
        print(
            f"| {name} | {group} | {cuts} | {counts.precision:.3f} | {counts.recall:.3f} | {counts.f1:.3f} |"
        )
    print("\nMilliseconds a frame, decoding not counted: ", end="")
    print(", ".join(f"{n} {1000 * s / benchmark.frames:.2f}" for n, s in benchmark.seconds.items()))


if __name__ == "__main__":
    main()

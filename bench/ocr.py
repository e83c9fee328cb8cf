"""Word recall and speed of the ocr expert on trailers whose title cards are known.

    python -m bench.ocr --media DIR

DIR is searched for ``NAME.json`` beside a video: ``file`` names the video, ``texts`` lists what is
on screen (``lines``, ``on``: card or overlay, ``start``, ``end`` in seconds). A word counts as found
if it is read at a time inside its text's span; case and punctuation do not matter, repetition does.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPTIONS: tuple[Mapping[str, Any], ...] = (
    {"max_side": 640},
    {"max_side": 960},
    {"max_side": 960, "use_cls": True},
    {"max_side": 1280},
)


@dataclass(frozen=True)
class Text:
    """One text on screen: its words are looked for between ``start`` and ``end`` (seconds)."""

    lines: tuple[str, ...]
    on: str
    start: float
    end: float


@dataclass(frozen=True)
class Trailer:
    video: Path
    texts: tuple[Text, ...]


def words(lines: Iterable[str]) -> Counter[str]:
    """The words of some lines: runs of letters and digits, without case."""
    return Counter(re.findall(r"[^\W_]+", " ".join(lines).casefold()))


def found(text: Text, rows: Iterable[Mapping[str, Any]], column: str) -> tuple[int, int]:
    """(words found, words there) of one text, by the rows that lie inside its span."""
    # Half a millisecond: the spans of the ground truth are rounded to a tenth of that.
    inside = [
        r for r in rows if text.start - 5e-4 <= r["start_seconds"] and r["end_seconds"] <= text.end + 5e-4
    ]
    truth = words(text.lines)
    return (truth & words(r[column] for r in inside)).total(), truth.total()


def trailers(folder: Path) -> Iterator[Trailer]:
    for path in sorted(folder.rglob("*.json")):
        truth = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(truth, dict) and "texts" in truth and (path.parent / str(truth.get("file"))).is_file():
            texts = (Text(tuple(t["lines"]), t["on"], t["start"], t["end"]) for t in truth["texts"])
            yield Trailer(path.parent / truth["file"], tuple(texts))


def frames_at(video: Path, times: Sequence[float]) -> list[NDArray[np.uint8]]:
    """RGB frames (height, width, 3) on screen at ``times`` (ascending seconds from the first frame)."""
    import av

    images: list[NDArray[np.uint8]] = []
    with av.open(str(video)) as container:
        container.streams.video[0].thread_type = "AUTO"
        first = None
        last = None
        for frame in container.decode(video=0):
            first = frame.time if first is None else first
            while len(images) < len(times) and last is not None and frame.time - first > times[len(images)]:
                images.append(np.asarray(last.to_ndarray(format="rgb24"), np.uint8))
            if len(images) == len(times):
                break
            last = frame
    return images


def read_middles(trailer: Trailer, options: Mapping[str, Any]) -> tuple[list[list[dict[str, Any]]], float]:
    """For each text the rows of the frame at its middle, and seconds for each frame."""
    from extract.expert import Resources
    from extract.registry import make_expert
    from extract.types import Item

    model = make_expert("ocr", options).load(Resources())
    times = [(t.start + t.end) / 2 for t in trailer.texts]
    items = [Item(t, t, {"image": i}) for t, i in zip(times, frames_at(trailer.video, times), strict=True)]
    model(items[:1])  # the models are loaded at the first frame
    began = time.perf_counter()
    rows = model(items)
    return rows, (time.perf_counter() - began) / len(items)


def read_keyframes(trailer: Trailer) -> list[list[dict[str, Any]]]:
    """The main job: rows of the middle frames of the detected scenes, the same for each text."""
    from extract.api import video

    rows = video(trailer.video, experts=["scenes", "ocr"])["ocr"].to_pylist()
    return [rows] * len(trailer.texts)


def line(texts: Sequence[Text], rows: Sequence[Iterable[Mapping[str, Any]]]) -> str:
    cells = []
    for on in ("card", "overlay"):
        for column in ("text", "corrected"):
            pairs = [found(t, list(r), column) for t, r in zip(texts, rows, strict=True) if t.on == on]
            hits, there = sum(p[0] for p in pairs), sum(p[1] for p in pairs)
            cells.append(f"{on} {column} {hits}/{there} ({hits / max(there, 1):.1%})")
    return ", ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description="Word recall and speed of the ocr expert.")
    parser.add_argument("--media", type=Path, required=True, help="folder with trailers and their JSON")
    known = list(trailers(parser.parse_args().media))
    if not known:
        parser.error("no video with a JSON of its texts in that folder")
    for trailer in known:
        print(trailer.video.name)
        for options in OPTIONS:
            rows, seconds = read_middles(trailer, options)
            shown = " ".join(f"{name}={value}" for name, value in options.items())
            print(
                f"  middle of each text, {shown}: {line(trailer.texts, rows)}; {1000 * seconds:.0f} ms/frame"
            )
        print(f"  keyframes of detected scenes: {line(trailer.texts, read_keyframes(trailer))}")


if __name__ == "__main__":
    main()

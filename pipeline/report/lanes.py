"""What a video's tables show over time: lanes of curves and of stretches with words.

Tables that Marquee knows are shown as people want to see them; of every other table, columns of fractions are
curves, and columns of text or of lists of text are stretches, under the names and meanings that the table
itself states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from extract.ops.picture.colour_bands import BANDS
from extract.types import Column
from pipeline.pages.pieces import numbers

# Tables with a place of their own on the page, or with nothing to look at over time.
NOT_LANES = frozenset({"scenes", "thumbnails", "ocr", "whisper"})
_TWICE = frozenset({("lowlevel", "shot_length_seconds")})  # the scenes table has it
_SAME_TEXT_SECONDS = 3.0  # frames are read at least every 1.5 s: one that is missed parts no stretch
_CLOSE_SECONDS = 0.1  # a picture's length and more: what follows at once, and what lasts
_LUMA = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709, of the encoded values


@dataclass(frozen=True)
class Curve:
    """Values at the middles of intervals, ascending; ``about`` is the column's meaning.

    ``steps``: the intervals follow each other. Then values stand at their beginnings, and the last one also
    at its end.
    """

    name: str
    about: str
    seconds: Sequence[float]
    values: Sequence[float | None]
    steps: bool = False

    def to_json(self) -> dict[str, Any]:
        shown = {"name": self.name, "about": self.about, "t": self.seconds, "v": self.values}
        return {"kind": "curve", **shown, "steps": self.steps}


@dataclass(frozen=True)
class Stretches:
    """Intervals with a text each, ascending by start; ``notes`` are shown beside the text.

    ``quiet``: the page lists its texts only where they are sought: names of what is seen or heard, no words.
    """

    name: str
    about: str
    starts: Sequence[float]
    ends: Sequence[float]
    texts: Sequence[str]
    notes: Sequence[str] = ()
    quiet: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "stretches",
            "name": self.name,
            "about": self.about,
            "from": self.starts,
            "to": self.ends,
            "texts": self.texts,
            "notes": self.notes or [""] * len(self.texts),
            "quiet": self.quiet,
        }


@dataclass(frozen=True)
class Scores:
    """A model's scores of each shot: ``scores`` (genres, shots), None where it had nothing to read.

    ``whole`` are the scores of the whole video; ``looks`` those of :func:`pipeline.pages.colours.looks_of`.
    """

    genres: Sequence[str]
    looks: Sequence[int]
    starts: Sequence[float]
    ends: Sequence[float]
    scores: Sequence[Sequence[float | None]]
    whole: Sequence[float]
    about: str = ""
    threshold: float = 0.5

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "scores",
            "about": self.about,
            "genres": self.genres,
            "looks": self.looks,
            "from": self.starts,
            "to": self.ends,
            "scores": self.scores,
            "whole": self.whole,
            "threshold": self.threshold,
        }


Lane: TypeAlias = Curve | Stretches | Scores


def lanes_of(
    tables: Mapping[str, pa.Table], columns: Mapping[str, Sequence[Column]]
) -> list[Curve | Stretches]:
    """The lanes of one video, in the order in which they are shown."""
    found: list[Curve | Stretches] = []
    if "ocr" in tables:
        found.append(titles(tables["ocr"]))
    if "whisper" in tables:
        found.append(speech(tables["whisper"]))
    if "scenes" in tables:
        found.append(shot_lengths(tables["scenes"]))
    if "thumbnails" in tables:
        found.append(brightness(tables["thumbnails"]))
    for name in sorted(tables.keys() - NOT_LANES):
        found += of_any_table(name, tables[name], columns.get(name, ()), tables.get("scenes"))
    return found


def titles(table: pa.Table) -> Stretches:
    """Text on screen: the same line on consecutive frames is one stretch."""
    rows = table.select(["start_seconds", "end_seconds", "corrected", "script"]).to_pylist()
    open_: dict[str, dict[str, Any]] = {}
    merged: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: float(row["start_seconds"])):
        text = row["corrected"] or f"({row['script']} script)"
        key = text.casefold()
        last = open_.get(key)
        if last is not None and row["start_seconds"] - last["end"] < _SAME_TEXT_SECONDS:
            last["end"] = max(last["end"], row["end_seconds"])
        else:
            open_[key] = {"text": text, "start": row["start_seconds"], "end": row["end_seconds"]}
            merged.append(open_[key])
    return _stretches("Titles", "text on screen, as read and corrected", merged)


def speech(table: pa.Table) -> Stretches:
    """What is said, without segments that are probably not."""
    rows = table.select(["start_seconds", "end_seconds", "text", "language", "hallucination"]).to_pylist()
    said = [
        {"text": (row["text"] or "").strip(), "start": row["start_seconds"], "end": row["end_seconds"]}
        | {"note": row["language"] or ""}
        for row in rows
        if not row["hallucination"]
    ]
    return _stretches("Speech", "what is said, as heard", said)


def shot_lengths(table: pa.Table) -> Curve:
    starts, ends = _interval(table)
    return _curve("Shot length", "seconds of each shot", starts, ends, ends - starts)


def brightness(table: pa.Table) -> Curve:
    return _curve("Brightness", "mean luma (BT.709) of the picture, 0 to 1", *_interval(table), luma(table))


def luma(thumbnails: pa.Table) -> NDArray[np.float64]:
    """Mean luma of each picture, (pictures,), 0 to 1; NaN where its colours are damaged."""
    colours = colours_of(thumbnails).reshape(len(thumbnails), BANDS, 3)
    found: NDArray[np.float64] = (colours @ _LUMA).mean(axis=1) / 255
    return found


def colours_of(thumbnails: pa.Table) -> NDArray[np.float64]:
    """R, G, B of each picture's bands, (pictures, bands * 3), 0 to 255; NaN where they are damaged."""
    cells = thumbnails["colours"].to_pylist()
    none = [np.nan] * 3 * BANDS
    found = np.array([cell if len(cell or ()) == len(none) else none for cell in cells], np.float64)
    found[~((found >= 0) & (found <= 255)).all(axis=1)] = np.nan
    return found


def of_any_table(
    name: str, table: pa.Table, columns: Sequence[Column], shots: pa.Table | None = None
) -> Iterator[Curve | Stretches]:
    """The lanes of a table that nothing is known of but its columns' types and meanings.

    Lists of texts of keyframes stand for their shots, where each shot has one.
    """
    starts, ends = _interval(table)
    if len(table) == 1 and name.endswith("_video"):
        return
    for column in columns:
        label = f"{name} {column.name}".replace("_", " ").capitalize()
        if (name, column.name) in _TWICE:
            continue
        if column.type in ("float32", "float64"):
            values = np.array(table[column.name].to_pylist(), np.float64)
            if np.isfinite(values).any():
                yield _curve(label, column.meaning, starts, ends, values)
        elif column.type in ("string", "list<string>"):
            texts = [texts_of(cell) for cell in table[column.name].to_pylist()]
            notes = _scores(table) if column.name == "classes" else [""] * len(table)
            spans = _spans_of_shots(table, shots) if column.type == "list<string>" else None
            cells = zip(texts, *(spans or (starts.tolist(), ends.tolist())), notes, strict=True)
            rows = [
                {"text": t, "start": start, "end": end, "note": note} for t, start, end, note in cells if t
            ]
            yield replace(_stretches(label, column.meaning, rows), quiet=True)


def texts_of(cell: str | Sequence[str] | None) -> str:
    """A text, or those of a list as one."""
    return cell or "" if cell is None or isinstance(cell, str) else " · ".join(cell)


def _spans_of_shots(table: pa.Table, shots: pa.Table | None) -> tuple[list[float], list[float]] | None:
    """From when to when the shots of a table's rows last, if each row is of another shot."""
    if shots is None or "scene" not in table.column_names:
        return None
    places = pc.index_in(table["scene"], shots["scene"].combine_chunks())
    if places.null_count or len(places.unique()) < len(table):
        return None
    return shots["start_seconds"].take(places).to_pylist(), shots["end_seconds"].take(places).to_pylist()


def _scores(table: pa.Table) -> list[str]:
    """How likely each class is, beside the names of the experts' ``classes``."""
    if "class_scores" not in table.column_names:
        return [""] * len(table)
    return [", ".join(f"{score:.2f}" for score in cell or ()) for cell in table["class_scores"].to_pylist()]


def _interval(table: pa.Table) -> tuple[Any, Any]:
    return table["start_seconds"].to_numpy(), table["end_seconds"].to_numpy()


def _curve(name: str, about: str, starts: Any, ends: Any, values: Any) -> Curve:
    order = np.argsort((starts + ends) / 2, kind="stable")
    starts, ends, values = starts[order], ends[order], np.asarray(values, np.float64)[order]
    steps = bool(
        (np.abs(starts[1:] - ends[:-1]) < _CLOSE_SECONDS).all() and (ends - starts > _CLOSE_SECONDS).all()
    )
    times = [*starts, ends[-1]] if steps else (starts + ends) / 2
    seconds = [value for value in numbers(times) if value is not None]
    return Curve(name, about, seconds, numbers([*values, values[-1]] if steps else values, 4), steps)


def _stretches(name: str, about: str, rows: Sequence[Mapping[str, Any]]) -> Stretches:
    rows = sorted(rows, key=lambda row: (float(row["start"]), float(row["end"])))
    return Stretches(
        name,
        about,
        [round(float(row["start"]), 3) for row in rows],
        [round(float(row["end"]), 3) for row in rows],
        [row["text"] for row in rows],
        [row.get("note", "") for row in rows],
    )

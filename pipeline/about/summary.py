"""Each video and a whole store in a few figures: editing, speech, text, sound, colour, motion, faces."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from extract.ops.picture.descriptors import DESCRIPTOR_NAMES
from extract.tables import embedding_matrix, is_time, timed_rows
from pipeline.about.failures import failed_videos
from pipeline.store.layout import Store
from pipeline.store.reading import footer_of, read, readable_batches

SILENT_RMS = 0.001  # -60 dB of full scale
OUTLIER = 3.5  # of the robust z-score; Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers
_TO_DEVIATION = 1.4826  # of the median absolute deviation, for a normal distribution

MEANINGS = {
    "duration_seconds": "length",
    "shots": "number of shots",
    "shots_per_minute": "shots a minute of their time",
    "shot_mean_seconds": "average length of a shot",
    "shot_median_seconds": "median length of a shot",
    "speech_share": "share of the length with speech (whisper)",
    "text_share": "share of the shots with text on screen (ocr)",
    "silence_share": f"share of the shots' time in shots whose mean level is below {SILENT_RMS} (lowlevel)",
    "brightness": "mean brightness of the frames, 0 to 1 (lowlevel)",
    "motion": "share of pixels that move against the background, 0 to 1 (lowlevel)",
    "faces_share": "share of the shots with a face (faces)",
    "failed_experts": "experts that failed",
}


@dataclass(frozen=True)
class Distribution:
    """A figure over the videos that have it."""

    videos: int
    mean: float
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Outlier:
    """A video whose figure lies far from the median: ``z`` robust standard deviations."""

    video_id: str
    figure: str
    value: float
    z: float


@dataclass(frozen=True)
class Summary:
    """``figures``: by name, a value for each of ``video_ids``, NaN where there is none.

    ``languages``: of each video's speech, the most spoken first.
    """

    video_ids: tuple[str, ...]
    figures: Mapping[str, NDArray[np.float64]]
    languages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def distribution(self, figure: str) -> Distribution:
        """Over the videos that have the figure; ``low`` and ``high`` are the 5th and 95th percentile."""
        values = _finite(self.figures[figure])
        low, median, high = np.percentile(values, [5, 50, 95])
        return Distribution(len(values), float(values.mean()), float(median), float(low), float(high))

    def outliers(self) -> list[Outlier]:
        """By the robust z-score, |x - median| / (1.4826 MAD) > 3.5, the farthest first."""
        found = []
        for name, values in self.figures.items():
            known = _finite(values)
            median = np.median(known)
            deviation = _TO_DEVIATION * np.median(np.abs(known - median))
            if deviation == 0:
                continue  # half of the videos have the same value
            scores = (values - median) / deviation
            for place in np.flatnonzero(np.abs(scores) > OUTLIER):
                found.append(Outlier(self.video_ids[place], name, float(values[place]), float(scores[place])))
        return sorted(found, key=lambda outlier: -abs(outlier.z))

    def table(self) -> pa.Table:
        """A row for each video: ``video_id``, the figures, ``languages``; what is not there is null."""
        columns: dict[str, Any] = {"video_id": list(self.video_ids)}
        columns |= {name: pa.array(values, from_pandas=True) for name, values in self.figures.items()}
        columns["languages"] = [" ".join(self.languages.get(name, ())) for name in self.video_ids]
        return pa.table(columns)


def summarise(store: Store) -> Summary:
    """What the store's current tables say of its videos; figures of tables that it lacks are left out."""
    videos = read(store, "videos", columns=["video_id", "duration_seconds"]).to_pydict()
    ids = tuple(sorted(videos["video_id"]))
    seconds = [
        value if value is not None and is_time(value) else None for value in videos["duration_seconds"]
    ]
    duration = dict(zip(videos["video_id"], seconds, strict=True))
    # A table of which no part is valid is still to do, as videos are of which one is not.
    current = {table for target in store.targets() for table in target.tables if footer_of(store, table)}
    figures: dict[str, dict[str, float]] = defaultdict(dict)
    figures["duration_seconds"] = {name: value for name, value in duration.items() if value is not None}
    languages: dict[str, tuple[str, ...]] = {}
    shots = _shots(store, figures) if "scenes" in current else {}
    if "whisper" in current:
        languages = _speech(store, figures, duration)
    for table, figure in (("ocr", "text_share"), ("faces", "faces_share")):
        if table in current:
            _share_of_shots(store, table, figures[figure], shots)
    if "lowlevel" in current:
        _levels(store, figures)
    failed = Counter(name for one in failed_videos(store) for name in [one.video_id] * len(one.experts))
    figures["failed_experts"] = {name: float(failed[name]) for name in ids}
    ordered = {name: _column(figures[name], ids) for name in MEANINGS if figures.get(name)}
    return Summary(ids, ordered, languages)


def _shots(store: Store, figures: Mapping[str, dict[str, float]]) -> dict[str, int]:
    lengths: dict[str, list[float]] = defaultdict(list)
    for row in _rows(store, "scenes", "start_seconds", "end_seconds"):
        lengths[row["video_id"]].append(row["end_seconds"] - row["start_seconds"])
    for name, each in lengths.items():
        figures["shots"][name] = len(each)
        if sum(each) > 0:
            figures["shots_per_minute"][name] = 60 * len(each) / sum(each)
        figures["shot_mean_seconds"][name] = float(np.mean(each))
        figures["shot_median_seconds"][name] = float(np.median(each))
    return {name: len(each) for name, each in lengths.items()}


def _speech(
    store: Store, figures: Mapping[str, dict[str, float]], duration: Mapping[str, float | None]
) -> dict[str, tuple[str, ...]]:
    intervals: dict[str, list[tuple[float, float]]] = defaultdict(list)
    spoken: dict[str, Counter[str]] = defaultdict(Counter)
    for row in _rows(store, "whisper", "start_seconds", "end_seconds", "language", "hallucination"):
        if row["hallucination"]:
            continue
        start, end = row["start_seconds"], row["end_seconds"]
        intervals[row["video_id"]].append((start, end))
        spoken[row["video_id"]][row["language"] or "?"] += end - start
    for name, length in duration.items():
        if length:
            figures["speech_share"][name] = min(1.0, covered_seconds(intervals.get(name, ())) / length)
    return {name: tuple(code for code, _ in found.most_common()) for name, found in spoken.items()}


def covered_seconds(intervals: Sequence[tuple[float, float]]) -> float:
    """Length of the union of half-open intervals."""
    total, until = 0.0, -np.inf
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _share_of_shots(store: Store, table: str, shares: dict[str, float], shots: Mapping[str, int]) -> None:
    there: dict[str, set[int]] = defaultdict(set)
    for row in _rows(store, table, "scene"):
        there[row["video_id"]].add(row["scene"])
    shares |= {name: len(there.get(name, ())) / count for name, count in shots.items()}


def _levels(store: Store, figures: Mapping[str, dict[str, float]]) -> None:
    """Brightness, motion and silence: means over the shots that have them, weighted by their lengths."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    weights: dict[str, Counter[str]] = defaultdict(Counter)
    columns = ["video_id", "shot_length_seconds", "motion_content", "embedding"]
    for batch in readable_batches(store, "lowlevel", columns):
        ids, group = np.unique(
            batch["video_id"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True
        )
        lengths = batch["shot_length_seconds"].to_numpy(zero_copy_only=False).astype(np.float64)
        for figure, values in _levels_of(batch).items():
            there = np.isfinite(values)
            weight = np.bincount(group, np.where(there, lengths, 0), len(ids))
            total = np.bincount(group, np.where(there, lengths * np.nan_to_num(values), 0), len(ids))
            weights[figure].update(dict(zip(ids.tolist(), weight.tolist(), strict=True)))
            sums[figure].update(dict(zip(ids.tolist(), total.tolist(), strict=True)))
    for figure, by_video in sums.items():
        known = weights[figure]
        figures[figure].update({name: total / known[name] for name, total in by_video.items() if known[name]})


def _levels_of(batch: pa.RecordBatch) -> dict[str, NDArray[np.float64]]:
    """By figure, a value for each row."""
    found = {"motion": batch["motion_content"].to_numpy(zero_copy_only=False).astype(np.float64)}
    if "embedding" in batch.schema.names:  # lowlevel.descriptors=rasheed has none
        vectors = embedding_matrix(batch["embedding"]).astype(np.float64)
        rms = vectors[:, DESCRIPTOR_NAMES.index("rms_mean")]
        found["brightness"] = vectors[:, DESCRIPTOR_NAMES.index("luma_mean")]
        found["silence_share"] = np.where(np.isnan(rms), np.nan, rms < SILENT_RMS)
    return found


def _rows(store: Store, table: str, *columns: str) -> Iterator[dict[str, Any]]:
    """Without those that lie nowhere in time, where that matters."""
    for batch in readable_batches(store, table, ["video_id", *columns]):
        yield from (timed_rows(batch) if "start_seconds" in columns else batch).to_pylist()


def _column(values: Mapping[str, float], ids: Sequence[str]) -> NDArray[np.float64]:
    return np.array([values.get(name, np.nan) for name in ids], np.float64)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]

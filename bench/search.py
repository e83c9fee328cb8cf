"""Search in a made-up store: what its indices cost, and how long answers take.

``python -m bench.search`` writes a store of ``--videos`` with ``--keyframes`` each (2,000 and 60; the full
size is ``--videos 100000``, 14 GB with its indices), by the project's own writer: vectors of ``clip``, and
lines of ``ocr`` and ``whisper``. Then, each in a process of its own on two cores, it builds the index of
words and that of vectors, asks words, phrases, words with a wrong letter, vectors as texts have them
(``meaning``) and moments (``like``), and adds a shard of videos and asks again. It prints seconds, bytes and
the largest memory of each process. ``cold`` answers follow after the indices were dropped from the operating
system's cache. Every answer includes opening the indices and comparing them with the store, as in a command;
of ``--meaning``, the network is left out.

Vectors are those of :mod:`bench.retrieve`, of 512 values. A ``meaning`` is a further one, moved by as much as
it is long in one direction that is the same for all: texts lie apart from pictures in CLIP's space. Words are
made of syllables, a few of them common and most rare (Zipf's law); one in fifty has a wrong letter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.memory import measure
from bench.processes import on_cores
from bench.retrieve import Films, drop_from_cache
from extract.declarations import TableSpec
from extract.fingerprint import fingerprint
from extract.registry import make_expert
from extract.tables import table_schema
from pipeline.search.part_index import index_path
from pipeline.search.search import Searches, run_searches
from pipeline.search.vector_rows import VectorRows, rows_folder
from pipeline.search.vectors import nearest
from pipeline.search.word_index import WordIndex
from pipeline.store.footer import PartHeader, VideoState
from pipeline.store.layout import Store, Target, open_store
from pipeline.store.parts import VideoRows, merge_part
from pipeline.store.videos import Shard, Video, write_shard
from pipeline.vectors.vector_file import Vectors, unit

SHARD_VIDEOS = 64
WIDTH, CORES, MOST = 512, 2, 10
TITLES, SPEECH = 12, 20  # lines of a video
WORDS, SLIPS = 200_000, 0.02
SYLLABLES = [
    consonant + vowel for consonant in "bdfghklmnprstvz" for vowel in ("a", "e", "i", "o", "u", "en")
]
FILMS = Films(WIDTH, clusters=5000, directions=128, noise=0.1)
MOST_SECONDS = 1.0
KINDS = ("word", "common word", "phrase", "slip", "meaning", "like")


@dataclass(frozen=True)
class Corpus:
    """A store of ``videos``, the same for the same numbers."""

    videos: int
    keyframes: int

    def write(self, store: Store) -> None:
        """What is there already stays as it is."""
        experts = _experts()
        for shard in range(-(-self.videos // SHARD_VIDEOS)):
            first = shard * SHARD_VIDEOS
            names = [f"films/{n:06d}" for n in range(first, min(first + SHARD_VIDEOS, self.videos))]
            if not store.part(
                "whisper", shard=shard, fingerprint=experts["whisper"][0].fingerprint
            ).path.exists():
                self.write_shard(store, shard, names, experts)
        targets = [target for target, _ in experts.values()]
        store.record_run(targets, options={}, versions={}, started="2026-01-01T00:00:00Z")

    def write_shard(
        self, store: Store, shard: int, names: Sequence[str], experts: dict[str, tuple[Target, TableSpec]]
    ) -> None:
        random = np.random.default_rng((2, shard))
        write_shard(store, Shard(shard, tuple(Video(name, f"{name}.mp4".encode(), 1) for name in names)))
        for name, (target, spec) in experts.items():
            header = PartHeader(target, name, shard, spec)
            columns = self._columns(name, shard, len(names), random)
            rows = len(next(iter(columns.values()))) // len(names)
            ok = VideoState("ok", size_bytes=1)
            parts = (
                VideoRows(video, ok, [_batch(header, columns, video, i * rows, rows)])
                for i, video in enumerate(names)
            )
            merge_part(store, header, parts)

    def _columns(self, table: str, shard: int, videos: int, random: np.random.Generator) -> dict[str, Any]:
        """Of all rows of a shard; what is not searched is always the same."""
        if table == "clip":
            values = np.concatenate(list(FILMS.blocks(videos * self.keyframes, part=shard)))
            return {"embedding": values.astype(np.float16)}
        count, most = (TITLES, 6) if table == "ocr" else (SPEECH, 14)
        lines = self.words.lines(random, videos * count, most)
        rest: dict[str, Any] = {"script": "Latin", "language": "en", "hallucination": False}
        return {
            "text": lines,
            "corrected": lines,
            **{name: [value] * len(lines) for name, value in rest.items()},
        }

    @cached_property
    def words(self) -> Words:
        return Words()


class Words:
    """Made-up words, the first ones common."""

    def __init__(self) -> None:
        random = np.random.default_rng(1)
        letters = np.array(SYLLABLES)[random.integers(len(SYLLABLES), size=(2 * WORDS, 4))]
        lengths = random.integers(1, 5, 2 * WORDS)
        made = ("".join(row[:n]) for row, n in zip(letters.tolist(), lengths.tolist(), strict=True))
        self.all = list(dict.fromkeys(made))[:WORDS]
        shares = 1 / (2.7 + np.arange(len(self.all)))
        self._until = np.cumsum(shares / shares.sum())

    def lines(self, random: np.random.Generator, count: int, most: int) -> list[str]:
        """Of two to ``most`` words each."""
        lengths = random.integers(2, most + 1, count)
        places = np.searchsorted(self._until, random.random(lengths.sum())).tolist()
        drawn = [self.all[min(place, len(self.all) - 1)] for place in places]
        for place in np.flatnonzero(random.random(len(drawn)) < SLIPS).tolist():
            drawn[place] = slip(drawn[place], random)
        ends = np.cumsum(lengths).tolist()
        return [" ".join(drawn[end - n : end]) for end, n in zip(ends, lengths.tolist(), strict=True)]


def slip(word: str, random: np.random.Generator) -> str:
    """With one letter wrong, not the first."""
    place = int(random.integers(1, len(word)))
    return word[:place] + chr(int(random.integers(97, 123))) + word[place + 1 :]


def _experts() -> dict[str, tuple[Target, TableSpec]]:
    found = {}
    for name in ("clip", "ocr", "whisper"):
        expert = make_expert(name)
        weights = {file.role: "00" * 32 for file in expert.weights()}
        made, made_of = fingerprint(
            expert, weights=weights, upstream={}, precision="float32", dtype="float16", random_seed=None
        )
        found[name] = Target(name, made, tuple(expert.tables()), (), made_of), expert.tables()[name]
    return found


def _batch(header: PartHeader, columns: dict[str, Any], video: str, first: int, rows: int) -> pa.RecordBatch:
    """The rows of one video; a column that is not given has no values."""
    schema = table_schema(header.spec, dtype=header.dtype)
    seconds = 2.0 * np.arange(rows)
    own: dict[str, Any] = {"video_id": [video] * rows, "row": range(rows)}
    own |= {"start_seconds": seconds, "end_seconds": seconds + 2, "scene": range(rows)}
    own |= {name: values[first : first + rows] for name, values in columns.items() if name != "embedding"}
    arrays = [
        _vectors(columns["embedding"][first : first + rows])
        if field.name == "embedding"
        else pa.array(own.get(field.name, [None] * rows), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _vectors(values: NDArray[np.float16]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def build_words(store: Store) -> dict[str, Any]:
    started = time.perf_counter()
    WordIndex(store).close()
    return {
        "seconds": time.perf_counter() - started,
        "bytes": index_path(store, "words.sqlite").stat().st_size,
    }


def build_vectors(store: Store) -> dict[str, Any]:
    started = time.perf_counter()
    VectorRows(store, "clip", WIDTH, lambda text: print(text, file=sys.stderr)).close()
    sizes = {path: path.stat().st_size for path in rows_folder(store, "clip").rglob("*") if path.is_file()}
    copied = sum(size for path, size in sizes.items() if path.suffix == ".f16")
    rest = sum(sizes.values()) - copied
    return {"seconds": time.perf_counter() - started, "bytes": rest, "vectors": copied}


def answer(store: Store, corpus: Corpus, queries: int) -> dict[str, Any]:
    """Seconds of answers by kind, cold (the first) and warm; and what the index of vectors finds."""
    seconds: dict[str, Any] = {}
    asked = _questions(store, corpus, queries)
    for kind, questions in asked.items():
        _drop_indices(store)
        cold = _timed(questions[0])
        questions[0]()
        seconds[kind] = {"cold": cold, "warm": [_timed(ask) for ask in questions]}
    return {"seconds": seconds, "recall": _recall(store, queries)}


def _questions(store: Store, corpus: Corpus, queries: int) -> dict[str, list[Callable[[], Any]]]:
    random, words = np.random.default_rng(3), corpus.words.all
    long = [word for word in words[1000:] if len(word) > 5]
    some = [long[i] for i in random.integers(len(long), size=queries)]
    pairs = random.integers(200, size=(queries, 2))
    texts = {
        "word": some,
        "common word": words[: max(3, queries // 4)],
        "phrase": [f'"{words[a]} {words[b]}"' for a, b in pairs],
        "slip": [slip(word, random) for word in some],
    }
    asked: dict[str, list[Callable[[], Any]]] = {
        kind: [_searching(store, Searches(words=(text,))) for text in own] for kind, own in texts.items()
    }
    asked["meaning"] = [_comparing(store, vector[None]) for vector in meanings(queries)]
    moments = zip(random.integers(corpus.videos, size=queries), random.random(queries), strict=True)
    asked["like"] = [
        _searching(store, Searches(like=(f"films/{video:06d}@{share * 2 * corpus.keyframes:.1f}",)))
        for video, share in moments
    ]
    return asked


def _searching(store: Store, searches: Searches) -> Callable[[], Any]:
    return lambda: run_searches(store, searches)


def _comparing(store: Store, vector: Vectors) -> Callable[[], Any]:
    return lambda: nearest(store, "clip", vector)


def meanings(count: int) -> Vectors:
    """Vectors as those of texts, (count, width)."""
    pictures = unit(np.concatenate(list(FILMS.blocks(count, part=1 << 20))))
    return unit(pictures + unit(np.random.default_rng(4).standard_normal((1, WIDTH))))


def _timed(ask: Callable[[], Any]) -> float:
    started = time.perf_counter()
    ask()
    return time.perf_counter() - started


def _drop_indices(store: Store) -> None:
    for path in (index_path(store, "words.sqlite"), *rows_folder(store, "clip").rglob("*")):
        if path.is_file():
            drop_from_cache(path)


def _recall(store: Store, queries: int) -> dict[str, float]:
    """Of the true ten nearest, the share that the index finds; 1 where all are compared anyway."""
    if not rows_folder(store, "clip").exists():
        return {"meaning": 1.0, "like": 1.0}
    random, found = np.random.default_rng(5), {}
    with closing(VectorRows(store, "clip", WIDTH)) as rows:
        own = rows.vectors(np.sort(random.integers(rows.file.count, size=queries)))
        for kind, asked in (("meaning", meanings(queries)), ("like", own)):
            wanted = rows.file.nearest(asked, MOST)[0]
            got = rows.index.nearest(asked, MOST)[0]
            hits = [len(set(a) & set(b)) / MOST for a, b in zip(wanted.tolist(), got.tolist(), strict=True)]
            found[kind] = float(np.mean(hits))
    return found


def grow(store: Store, corpus: Corpus) -> dict[str, Any]:
    """A shard more: seconds to write it, and of the first answer of each index."""
    shard = max(store.shards()) + 1
    names = [f"films/new{n:03d}" for n in range(SHARD_VIDEOS)]
    writing = _timed(lambda: corpus.write_shard(store, shard, names, _experts()))
    words = _timed(_searching(store, Searches(words=(corpus.words.all[5000],))))
    like = _timed(_searching(store, Searches(like=(f"{names[0]}@1",))))
    return {"write": writing, "word": words, "like": like}


def command(store: Store, corpus: Corpus) -> dict[str, Any]:
    """Seconds of whole commands, from the start of Python; each the second time."""
    call = [sys.executable, "-c", "from pipeline.cli.marquee import main; main()", "search", str(store.root)]
    asked = {"word": [corpus.words.all[5000]], "like": ["--like", "films/000000@1"]}
    runs = {kind: [measure([*call, *rest]) for _ in range(2)][1] for kind, rest in asked.items()}
    for run in runs.values():
        if run.status:
            raise RuntimeError(run.output)
    return {kind: {"seconds": run.seconds, "bytes": run.peak_bytes} for kind, run in runs.items()}


def bench(folder: Path, corpus: Corpus, queries: int) -> bool:
    """Write, build, ask, grow and print; whether every warm answer was in time."""
    started = time.perf_counter()
    corpus.write(open_store(folder / "features", create=True))
    size = sum(path.stat().st_size for path in (folder / "features").rglob("*.parquet"))
    rows = corpus.videos * corpus.keyframes
    print(
        f"{corpus.videos:,} videos, {rows:,} vectors, {corpus.videos * (TITLES + SPEECH):,} lines; ", end=""
    )
    print(f"{size / 1e9:.2f} GB, {time.perf_counter() - started:.0f} s to write", flush=True)
    done = {step: _step(step, folder, corpus, queries) for step in STEPS}
    answers = done["answer"][0]
    print("| question | cold s | warm median s | 95 of 100 s | longest s |\n|---|---|---|---|---|")
    longest = 0.0
    for kind in KINDS:
        warm = np.array(answers["seconds"][kind]["warm"])
        longest = max(longest, float(warm.max()))
        cells = (answers["seconds"][kind]["cold"], np.median(warm), np.quantile(warm, 0.95), warm.max())
        print(f"| {kind} | {' | '.join(f'{value:.3f}' for value in cells)} |")
    recall = ", ".join(f"{kind} {value:.4f}" for kind, value in answers["recall"].items())
    print(f"recall@{MOST}: {recall}; longest warm answer {longest:.2f} s, at most {MOST_SECONDS:.0f} s")
    return longest <= MOST_SECONDS


STEPS: dict[str, Callable[[Store, Corpus, int], dict[str, Any]]] = {
    "words": lambda store, corpus, queries: build_words(store),
    "vectors": lambda store, corpus, queries: build_vectors(store),
    "answer": answer,
    "command": lambda store, corpus, queries: command(store, corpus),
    "grow": lambda store, corpus, queries: grow(store, corpus),
}


def _step(step: str, folder: Path, corpus: Corpus, queries: int) -> tuple[dict[str, Any], int]:
    """What a step measured in a process of its own, and the most memory that it took."""
    shape = (step, str(folder), str(corpus.videos), str(corpus.keyframes), str(queries))
    with on_cores(sorted(os.sched_getaffinity(0))[:CORES]):
        run = measure([sys.executable, "-m", "bench.search", "--step", *shape])
    if run.status:
        raise RuntimeError(f"{step} ended with status {run.status}:\n{run.output}")
    found = json.loads(run.output.splitlines()[-1])
    said = "" if step == "answer" else ", ".join(_said(found))
    print(f"{step}: {said or 'see below'}; at most {run.peak_bytes / 1e9:.2f} GB of memory", flush=True)
    return found, run.peak_bytes


def _said(found: dict[str, Any]) -> Iterator[str]:
    for name, value in found.items():
        if isinstance(value, dict):
            yield f"{name} ({', '.join(_said(value))})"
        else:
            yield f"{name} {value:.2f} s" if isinstance(value, float) else f"{name} {value / 1e9:.3f} GB"


def main() -> None:
    """Measure all, or one step in this process."""
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__)
    parser.add_argument("--videos", type=int, default=2_000)
    parser.add_argument("--keyframes", type=int, default=60)
    parser.add_argument("--queries", type=int, default=20, help="of each kind; default: 20")
    parser.add_argument("--out", type=Path, help="folder for the store, kept; default: a temporary one")
    names = ("STEP", "FOLDER", "VIDEOS", "KEYFRAMES", "QUERIES")
    parser.add_argument("--step", nargs=5, metavar=names, help="internal")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(CORES)
    if arguments.step:
        step, folder, videos, keyframes, queries = arguments.step
        corpus = Corpus(int(videos), int(keyframes))
        print(json.dumps(STEPS[step](Store(Path(folder) / "features"), corpus, int(queries))))
        return
    with tempfile.TemporaryDirectory(prefix="marquee-search-") as temporary:
        corpus = Corpus(arguments.videos, arguments.keyframes)
        held = bench(arguments.out or Path(temporary), corpus, arguments.queries)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()

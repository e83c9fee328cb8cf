"""The same samples in four formats, and a pass over each: one process of :mod:`bench.loader`.

A sample is one film: vectors (steps, dim) float16 and ``start_seconds`` (steps,) float64 of each expert. All
systems pad with :func:`train.loading.collate.collate`, and the consumer sums every value.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.location import location
from train.importers.writing import Source, write_store
from train.loading.batch import Batch

# Sulun et al. 2024: dimensions, and the caps of the sequences, which are the mean number of steps here.
# 26,412 films have 12.9 GB then, as MovieNet has.
EXPERTS = {"clip": (512, 216), "ocr": (768, 64), "asr": (768, 86), "panns": (128, 140), "musicnet": (64, 18)}
ABSENT = {"ocr": 0.1, "asr": 0.1}
_POOL_ROWS = 50_000

Sample = dict[str, Any]


class Films:
    """Made-up films: vectors are slices of normal numbers, lengths within half of the mean, some absent."""

    def __init__(self) -> None:
        self._pool = np.random.default_rng(0).standard_normal((_POOL_ROWS, 768), np.float32)
        self._by_expert = {
            name: np.ascontiguousarray(self._pool[:, :dim], np.float16) for name, (dim, _) in EXPERTS.items()
        }

    def vectors(self, expert: str, video_id: str) -> NDArray[Any] | None:
        number = int(video_id[4:])
        random = np.random.default_rng((number, list(EXPERTS).index(expert)))
        if random.random() < ABSENT.get(expert, 0):
            return None
        mean = EXPERTS[expert][1]
        steps = int(random.integers(mean // 2, mean + mean // 2 + 1))
        start = int(random.integers(0, _POOL_ROWS - steps))
        return self._by_expert[expert][start : start + steps]

    def sample(self, video_id: str) -> Sample:
        """Flat, as the other formats store it; an absent expert has no steps."""
        sample: Sample = {"id": video_id}
        for name, (dim, _) in EXPERTS.items():
            vectors = self.vectors(name, video_id)
            vectors = np.empty((0, dim), np.float16) if vectors is None else vectors
            sample[name] = np.ascontiguousarray(vectors)
            sample[f"{name}_start"] = np.arange(len(vectors), dtype=np.float64)
        return sample


def ids_of(videos: int) -> list[str]:
    return [f"film{number:06d}" for number in range(videos)]


def batch_of(samples: Sequence[Sample]) -> Batch:
    """Pad samples of the other formats, as the store's loader pads its own."""
    import torch

    from train.loading.collate import collate

    columns = {
        name: [
            (torch.as_tensor(s[name]), torch.as_tensor(s[f"{name}_start"])) if len(s[name]) else None
            for s in samples
        ]
        for name in EXPERTS
    }
    dims = {name: dim for name, (dim, _) in EXPERTS.items()}
    return collate([s["id"] for s in samples], columns, dims)


def write_marquee(folder: Path, videos: int) -> None:
    films = Films()
    sources = [
        Source(name, dim, partial(films.vectors, name), {"bench": "loader"})
        for name, (dim, _) in EXPERTS.items()
    ]
    write_store(location(folder), ids_of(videos), sources, options={})


def write_pickle(folder: Path, videos: int) -> None:
    import torch

    films = Films()
    folder.mkdir(parents=True)
    samples = {}
    for name in ids_of(videos):
        sample = films.sample(name)
        samples[name] = {
            key: torch.from_numpy(np.array(value)) if key != "id" else value for key, value in sample.items()
        }
    with (folder / "features.pkl").open("wb") as file:
        pickle.dump(samples, file, protocol=pickle.HIGHEST_PROTOCOL)


def write_mosaic(folder: Path, videos: int) -> None:
    from streaming import MDSWriter

    films = Films()
    names = [key for name in EXPERTS for key in (name, f"{name}_start")]
    columns = {"id": "str"} | dict.fromkeys(names, "bytes")  # its arrays must not be empty
    with MDSWriter(out=str(folder), columns=columns) as writer:
        for video_id in ids_of(videos):
            sample = films.sample(video_id)
            writer.write({"id": video_id} | {name: sample[name].tobytes() for name in names})


def write_litdata(folder: Path, videos: int) -> None:
    import litdata

    litdata.optimize(
        fn=Films().sample,
        inputs=ids_of(videos),
        output_dir=str(folder),
        num_workers=1,
        chunk_bytes="64MB",
        start_method="fork",
    )


def read_marquee(folder: Path, batch_size: int, workers: int) -> Iterable[Batch]:
    from train.loading.features import FeatureSet
    from train.loading.stream import Loader, Stream

    features = FeatureSet.open(folder)
    return Loader(features, features.ids, stream=Stream(batch_size, threads=workers), shuffle=True)


def read_pickle(folder: Path, batch_size: int, workers: int) -> Iterable[Batch]:
    from torch.utils.data import DataLoader, Dataset

    with (folder / "features.pkl").open("rb") as file:
        samples = list(pickle.load(file).values())

    class Loaded(Dataset[Sample]):
        def __len__(self) -> int:
            return len(samples)

        def __getitem__(self, index: int) -> Sample:
            found: Sample = samples[index]
            return found

    return DataLoader(Loaded(), batch_size, shuffle=True, num_workers=workers, collate_fn=batch_of)


def read_mosaic(folder: Path, batch_size: int, workers: int) -> Iterable[Batch]:
    from streaming import StreamingDataset
    from torch.utils.data import DataLoader

    def unpacked(samples: Sequence[Sample]) -> Batch:
        for sample in samples:
            for name, (dim, _) in EXPERTS.items():
                sample[name] = np.frombuffer(sample[name], np.float16).reshape(-1, dim)
                sample[f"{name}_start"] = np.frombuffer(sample[f"{name}_start"])
        return batch_of(samples)

    dataset = StreamingDataset(local=str(folder), shuffle=True, batch_size=batch_size, num_canonical_nodes=1)
    # Its own loader only counts samples for resuming, and knows no dataclass as a batch.
    return DataLoader(dataset, batch_size=batch_size, num_workers=workers, collate_fn=unpacked)


def read_litdata(folder: Path, batch_size: int, workers: int) -> Iterable[Batch]:
    from litdata import StreamingDataLoader, StreamingDataset

    dataset = StreamingDataset(str(folder), shuffle=True)
    return _batches(
        StreamingDataLoader(dataset, batch_size=batch_size, num_workers=workers, collate_fn=batch_of)
    )


def _batches(loader: Any) -> Iterable[Batch]:
    found: Iterable[Batch] = loader
    return found


Write = Callable[[Path, int], None]
Read = Callable[[Path, int, int], Iterable[Batch]]
SYSTEMS: Mapping[str, tuple[Write, Read]] = {
    "marquee": (write_marquee, read_marquee),
    "pickle": (write_pickle, read_pickle),
    "mosaicml-streaming": (write_mosaic, read_mosaic),
    "litdata": (write_litdata, read_litdata),
}


def measure(system: str, folder: Path, *, batch_size: int, workers: int, epochs: int) -> dict[str, Any]:
    """Open, first batch, and whole passes; every value of every batch is summed, as a check and a use."""
    import torch

    started = time.perf_counter()
    batches = SYSTEMS[system][1](folder, batch_size, workers)
    opened = time.perf_counter()
    first, passes, samples, size, total = 0.0, [], 0, 0, 0.0
    for epoch in range(epochs):
        if hasattr(batches, "set_epoch"):
            batches.set_epoch(epoch)
        begun = time.perf_counter() if epoch else started
        samples, size, total = 0, 0, 0.0
        for batch in batches:
            if not first:
                first = time.perf_counter() - started
            samples += len(batch)
            for name, features in batch.features.items():
                total += float(features.sum(dtype=torch.float64))
                size += 2 * features.shape[2] * int((~batch.padding[name]).sum())
        passes.append(time.perf_counter() - begun)
    return {
        "open_seconds": opened - started,
        "first_batch_seconds": first,
        "pass_seconds": passes,
        "samples": samples,
        "bytes": size,
        "sum": total,
    }


def main(arguments: Sequence[str]) -> None:
    """``write SYSTEM FOLDER VIDEOS`` or ``read SYSTEM FOLDER BATCH_SIZE WORKERS EPOCHS``."""
    action, system, folder, *numbers = arguments
    values = [int(number) for number in numbers]
    if action == "write":
        SYSTEMS[system][0](Path(folder), values[0])
        return
    found = measure(system, Path(folder), batch_size=values[0], workers=values[1], epochs=values[2])
    print("RESULT " + json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])

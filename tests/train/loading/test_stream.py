"""Batches against the vectors that they were made from: content, order, resuming, memory, mistakes."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from extract.errors import UsageError
from tests.fixtures.features import DIMS, feature_store, names, vectors
from train.errors import DataError
from train.loading import collate, readahead
from train.loading import vectors as vectors_module
from train.loading.batch import Batch
from train.loading.features import FeatureSet
from train.loading.steps import Steps
from train.loading.stream import Loader, Stream


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> FeatureSet:
    out = tmp_path_factory.mktemp("store") / "out"
    feature_store(out, names(50))
    return FeatureSet.open(out)


def check(batch: Batch) -> None:
    """Every step of every video is where it belongs, and nothing else is anywhere."""
    for expert, dim in DIMS.items():
        known = [vectors(expert, name) for name in batch.ids]
        lengths = [0 if values is None else len(values) for values in known]
        time = max(1, *lengths)
        assert batch.features[expert].shape == (len(batch), time, dim)
        assert batch.features[expert].dtype == torch.float32
        assert batch.present[expert].tolist() == [length > 0 for length in lengths]
        for i, (values, length) in enumerate(zip(known, lengths, strict=True)):
            assert batch.padding[expert][i].tolist() == [False] * length + [True] * (time - length)
            stored = batch.features[expert][i].numpy()
            assert not stored[length:].any() and not batch.start_seconds[expert][i, length:].any()
            assert batch.start_seconds[expert][i, :length].tolist() == [2.0 * k for k in range(length)]
            if values is not None:
                np.testing.assert_array_equal(stored[:length], values.astype(np.float32))


def ids_of(batches: Iterable[Batch]) -> list[tuple[str, ...]]:
    return [batch.ids for batch in batches]


def equal(left: Batch, right: Batch) -> bool:
    tensors = [
        (getattr(left, kind)[expert], getattr(right, kind)[expert])
        for kind in ("features", "padding", "present", "start_seconds")
        for expert in left.features
    ]
    return left.ids == right.ids and all(torch.equal(a, b) for a, b in tensors)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("buffer_bytes", [1, 700, 1 << 30])
@pytest.mark.slow
def test_every_video_comes_once_with_its_steps(
    features: FeatureSet, shuffle: bool, buffer_bytes: int
) -> None:
    labels = np.arange(100).reshape(50, 2)
    loader = Loader(
        features, names(50), stream=Stream(7, buffer_bytes=buffer_bytes), labels=labels, shuffle=shuffle
    )
    batches = list(loader)
    assert len(batches) == len(loader) == 8
    for batch in batches:
        check(batch)
        assert batch.labels is not None
        assert batch.labels.tolist() == [labels[int(name[4:])].tolist() for name in batch.ids]
    seen = [name for batch in batches for name in batch.ids]
    assert (seen == names(50)) is not shuffle
    assert sorted(seen) == names(50)


def test_the_order_depends_on_seed_and_epoch_alone(features: FeatureSet) -> None:
    def order(*, seed: int = 3, threads: int = 1, epoch: int = 0, ids: list[str] | None = None) -> Any:
        loader = Loader(
            features,
            ids or names(50),
            stream=Stream(4, seed=seed, threads=threads, buffer_bytes=2000),
            shuffle=True,
        )
        loader.set_epoch(epoch)
        return ids_of(loader)

    assert order() == order(threads=5) == order(ids=names(50)[::-1])
    assert order() != order(seed=4)
    assert order() != order(epoch=1)


@pytest.mark.parametrize("after", [0, 1, 5, 12])
def test_a_loader_goes_on_where_another_was(features: FeatureSet, after: int) -> None:
    stream = Stream(4, buffer_bytes=1500, steps={"pictures": Steps(3, "random")})

    def fresh() -> Loader:
        loader = Loader(features, names(50), stream=stream, shuffle=True)
        loader.set_epoch(2)
        return loader

    whole = list(fresh())
    loader = fresh()
    batches = iter(loader)
    for _ in range(after):
        next(batches)
    state = loader.state_dict()
    resumed = Loader(features, names(50), stream=stream, shuffle=True)
    resumed.load_state_dict(state)
    resumed.set_epoch(2)  # as a training loop does at the start of every epoch
    rest = list(resumed)
    assert len(rest) == len(whole) - after
    assert all(equal(a, b) for a, b in zip(rest, whole[after:], strict=True))
    assert ids_of(resumed) == ids_of(whole), "the next pass begins at the front"
    resumed.set_epoch(3)
    assert len(list(resumed)) == len(whole)


def test_a_state_of_other_samples_is_refused(features: FeatureSet) -> None:
    state = Loader(features, names(50), shuffle=True).state_dict()
    for other in (
        Loader(features, names(49), shuffle=True),
        Loader(features, names(50), stream=Stream(seed=1), shuffle=True),
        Loader(features, names(50), stream=Stream(steps={"sound": Steps(2)}), shuffle=True),
    ):
        with pytest.raises(DataError, match="resume with the same"):
            other.load_state_dict(state)


def test_blocks_in_memory_stay_within_the_buffer(
    features: FeatureSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    ask = readahead.ReadAhead._ask

    def watched(self: Any) -> None:
        ask(self)
        held.append(self._held_bytes)

    monkeypatch.setattr(readahead.ReadAhead, "_ask", watched)
    loader = Loader(features, names(50), stream=Stream(2, buffer_bytes=1200), shuffle=True)
    assert loader.samples.sizes({}).sum() > 3 * 1200
    list(loader)
    assert len(held) > 5
    assert max(held) <= 1200


def test_nothing_is_left_running_when_a_pass_is_broken_off(features: FeatureSet) -> None:
    before = set(threading.enumerate())
    for _ in Loader(features, names(50), stream=Stream(4, buffer_bytes=900)):
        break
    assert set(threading.enumerate()) <= before
    assert torch.get_num_threads() >= 1


def test_reading_leaves_the_threads_of_torch_alone(features: FeatureSet) -> None:
    others = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        list(Loader(features, names(50)))
        assert torch.get_num_threads() == 2
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert found == [2]
    finally:
        torch.set_num_threads(others)


def test_caps_and_means(features: FeatureSet) -> None:
    steps = {"pictures": Steps(2, "equidistant"), "sound": Steps(mean=True)}
    for batch in Loader(features, names(50), stream=Stream(8, steps=steps)):
        assert batch.features["pictures"].shape[1] == 2
        assert batch.features["sound"].shape[1] == 1
        for i, name in enumerate(batch.ids):
            pictures, sound = vectors("pictures", name), vectors("sound", name)
            assert pictures is not None
            rows = Steps(2, "equidistant").choose(len(pictures), draw=(0,))
            np.testing.assert_array_equal(batch.features["pictures"][i, : len(rows)].numpy(), pictures[rows])
            assert batch.start_seconds["pictures"][i, : len(rows)].tolist() == (2.0 * rows).tolist()
            if sound is not None:
                mean = sound.astype(np.float64).mean(axis=0)
                np.testing.assert_allclose(batch.features["sound"][i, 0].numpy(), mean, rtol=1e-5, atol=1e-6)
            assert batch.present["sound"][i] == (sound is not None)


def test_random_steps_change_with_the_epoch_and_not_with_the_batch(features: FeatureSet) -> None:
    def chosen(size: int, epoch: int) -> dict[str, list[float]]:
        steps = {"pictures": Steps(2, "random")}
        loader = Loader(features, names(50), stream=Stream(size, steps=steps), shuffle=True)
        loader.set_epoch(epoch)
        return {
            name: batch.start_seconds["pictures"][i].tolist()
            for batch in loader
            for i, name in enumerate(batch.ids)
        }

    assert chosen(5, 0) == chosen(16, 0)
    assert chosen(5, 0) != chosen(5, 1)


@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_share_an_epoch(features: FeatureSet, ranks: int) -> None:
    def batches(rank: int, *, shuffle: bool) -> list[tuple[str, ...]]:
        stream = Stream(4, buffer_bytes=900, rank=rank, ranks=ranks)
        loader = Loader(features, names(50), stream=stream, shuffle=shuffle)
        found = ids_of(loader)
        assert len(found) == len(loader)
        return found

    trained = [batches(rank, shuffle=True) for rank in range(ranks)]
    assert len({tuple(map(len, mine)) for mine in trained}) == 1
    assert {name for mine in trained for ids in mine for name in ids} == set(names(50))
    judged = [name for rank in range(ranks) for ids in batches(rank, shuffle=False) for name in ids]
    assert judged == names(50)


def test_videos_without_features_and_impossible_streams_are_refused(features: FeatureSet) -> None:
    with pytest.raises(DataError, match=r"1 video has no features, e.g. 'stranger'"):
        Loader(features, ["film001", "stranger"])
    for options in ({"batch_size": 0}, {"buffer_bytes": 0}, {"threads": -1}, {"rank": 1}):
        with pytest.raises(UsageError):
            Stream(**options)  # type: ignore[arg-type]


def test_values_that_are_not_finite_name_the_video(
    features: FeatureSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = vectors_module.read_rows

    def damaged(path: Any, rows: Any, **options: Any) -> Any:
        values, starts = read(path, rows, **options)
        values[-1, 0] = np.inf if options["dim"] == DIMS["sound"] else np.nan
        return values, starts

    monkeypatch.setattr(collate, "read_rows", damaged)
    with pytest.raises(DataError, match=r"'pictures' has values that are not finite .* video 'film003'"):
        list(Loader(features, names(4)))
    allowed = replace(
        features, tables={name: replace(table, nan=True) for name, table in features.tables.items()}
    )
    batch = next(iter(Loader(allowed, names(4))))
    assert batch.features["pictures"].isnan().sum() == 1


def test_a_batch_can_be_selected_from_and_moved(features: FeatureSet) -> None:
    batch = next(iter(Loader(features, names(50), stream=Stream(6), labels=np.eye(50))))
    chosen = batch.to("cpu").select([4, 1])
    assert chosen.ids == ("film004", "film001")
    assert torch.equal(chosen.features["pictures"], batch.features["pictures"][[4, 1]])
    assert chosen.labels is not None and chosen.labels.argmax(dim=1).tolist() == [4, 1]
    with pytest.raises(ValueError, match="labels"):
        replace(batch, labels=torch.zeros(2, 3))
    with pytest.raises(ValueError, match="pictures"):
        replace(batch, padding={**batch.padding, "pictures": batch.padding["pictures"][:, :1]})

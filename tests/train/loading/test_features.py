"""What is read of a store, and what of it is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from extract.errors import StoreError
from extract.fingerprint import canonical_json, digest
from pipeline.store.footer import PartHeader, VideoState
from pipeline.store.layout import PartFile, Store, Target
from pipeline.store.parts import VideoRows, merge_part
from tests.fixtures.features import DIMS, feature_store, names, vectors
from train.errors import DataError
from train.loading.features import FeatureSet
from train.loading.stream import Loader, Stream


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return feature_store(tmp_path / "out", names(20))


def record(store: Store, *targets: Target) -> None:
    store.record_run(targets, options={}, versions={}, started="2024-01-01T00:00:00Z")


def test_tables_dims_ids_and_fingerprints_are_read_from_footers(store: Store) -> None:
    features = FeatureSet.open(store.root)
    assert features.dims == DIMS
    assert features.ids == tuple(names(20))
    assert features.fingerprints == {target.expert: target.fingerprint for target in store.targets()}
    assert features.shards.tolist() == [i // 4 for i in range(20)]
    for i, name in enumerate(features.ids):
        for expert, table in features.tables.items():
            values = vectors(expert, name)
            assert table.steps[i] == (0 if values is None else len(values))
            assert (table.part[i] < 0) == (values is None)
    absent = sum(vectors("sound", name) is None for name in names(20))
    assert absent
    assert features.report() == [f"sound: {20 - absent} of 20 videos ({absent} nothing there)"]


def made_of(target: Target, **more: Any) -> Target:
    """The same of something else, with the fingerprint that follows from it."""
    whole = {**target.made_of, **more}
    return replace(target, made_of=whole, fingerprint=digest(canonical_json(whole)))


def test_experts_are_named_by_table_or_by_expert(store: Store) -> None:
    assert list(FeatureSet.open(store, ["sound"]).tables) == ["sound"]
    both = Target("i3d", "0" * 12, ("sound", "pictures"))
    store.run_path.unlink()
    record(store, replace(both, fingerprint=store.parts("sound")[0].fingerprint))
    with pytest.raises(DataError, match="run `python -m extract --out "):
        FeatureSet.open(store, ["i3d"])  # of its two tables one has another fingerprint
    assert list(FeatureSet.open(store, ["sound"]).tables) == ["sound"]
    with pytest.raises(DataError, match=r"no rows of expert 'clip', only of pictures, sound"):
        FeatureSet.open(store, ["clip"])
    with pytest.raises(DataError, match="no experts were named"):
        FeatureSet.open(store, [])


def test_only_videos_with_something_are_there(tmp_path: Path) -> None:
    store = feature_store(tmp_path / "out", names(20), dims={"sound": 3})
    features = FeatureSet.open(store)
    assert features.ids == tuple(name for name in names(20) if vectors("sound", name) is not None)


def test_videos_that_a_part_lacks_and_parts_that_are_missing_are_told_apart(store: Store) -> None:
    parts = store.parts("pictures")
    header = _header(store, "pictures", 0)
    Path(str(parts[0].path)).unlink()
    failure = VideoState("absent", reason="no video stream")
    merge_part(store, header, [VideoRows("film001", failure)])
    Path(str(parts[1].path)).unlink()
    features = FeatureSet.open(store, ["pictures"])
    assert features.ids == tuple(names(20)[8:])
    counts, lost = features.report()
    assert counts == "pictures: 12 of 20 videos (1 nothing there, 7 still to do)"
    assert lost.startswith(f"pictures: 1 part is missing ({str(parts[1].path)!r}); `python -m extract --")
    assert f"--out {store.root}" in lost and lost.endswith("` extracts them")
    assert sum(len(batch) for batch in Loader(features, features.ids, stream=Stream(5))) == 12


def test_a_table_of_which_every_part_is_missing_is_told(store: Store) -> None:
    for part in store.parts("pictures"):
        Path(str(part.path)).unlink()
    features = FeatureSet.open(store)
    assert list(features.tables) == ["sound"]
    assert any(line.startswith("pictures: 5 parts are missing") for line in features.report())


@pytest.mark.parametrize("fault", ["damaged", "foreign"])
def test_parts_that_do_not_count_are_refused_with_their_path(store: Store, fault: str) -> None:
    first, second, *_ = store.parts("pictures")
    if fault == "damaged":
        Path(str(second.path)).write_bytes(b"PAR1 nothing PAR1")
    else:
        shutil.copy(str(first.path), str(second.path))
    with pytest.raises(DataError) as refused:
        FeatureSet.open(store)
    assert str(second.path) in str(refused.value) and "\n" not in str(refused.value)
    assert f"`python -m extract verify {store.root}`" in str(refused.value)


def test_a_part_that_a_run_replaces_meanwhile_is_listed_once_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part is gone between the listing and its reading; it stays away in the second case."""
    parts = Store.parts
    gone = store.part("pictures", shard=9, fingerprint=store.parts("pictures")[0].fingerprint)
    listed = []

    def stale(self: Store, table: str, *, times: int) -> list[PartFile]:
        listed.append(table)
        return [*parts(self, table), *[gone] * (table == "pictures" and listed.count(table) <= times)]

    monkeypatch.setattr(Store, "parts", lambda self, table: stale(self, table, times=3))
    assert len(FeatureSet.open(store, ["pictures"]).ids) == 20
    listed.clear()
    monkeypatch.setattr(Store, "parts", lambda self, table: stale(self, table, times=99))
    with pytest.raises(DataError, match=r"there is no part .*part-00009"):
        FeatureSet.open(store, ["pictures"])


def test_old_fingerprints_are_not_read(store: Store) -> None:
    header = _header(store, "pictures", 0)
    other = replace(header, target=made_of(header.target, option="old"))
    merge_part(store, other, [VideoRows("film001", VideoState("absent", reason="old options"))])
    assert FeatureSet.open(store).tables["pictures"].states == {"ok": 20}
    record(store, other.target)
    old = FeatureSet.open(store).tables["pictures"]
    assert old.states == {"absent": 1} and not old.steps.any()


def test_mixed_fingerprints_of_which_none_is_current_are_refused(store: Store) -> None:
    header = _header(store, "pictures", 0)
    other = replace(header, target=replace(header.target, fingerprint="0" * 12))
    merge_part(store, other, [VideoRows("film001", VideoState("absent", reason="old options"))])
    store.run_path.unlink()
    with pytest.raises(DataError, match=r"mixed fingerprints .*000000000000.*extract again"):
        FeatureSet.open(store)
    assert FeatureSet.open(store, ["sound"]).dims == {"sound": 3}


@pytest.mark.parametrize("upstream", [False, True])
def test_random_weights_are_refused_unless_they_are_allowed(store: Store, upstream: bool) -> None:
    mine = next(target for target in store.targets() if target.expert == "sound")
    seeded = {**mine.made_of, "random_seed": 5}
    if upstream:
        parent = made_of(Target("reader", "", ("reader",)), **seeded)
        target = made_of(replace(mine, upstream=("reader",)), upstream={"reader": parent.fingerprint})
        record(store, parent, target)
    else:
        target = made_of(mine, **seeded)
        record(store, target)
    for part in store.parts("sound"):
        header = replace(_header(store, "sound", part.shard), target=target)
        Path(str(part.path)).unlink()
        merge_part(
            store, header, [VideoRows(f"film{4 * part.shard:03d}", VideoState("absent", reason="nothing"))]
        )
    with pytest.raises(DataError, match=r"sound extracted with random weights; .*--allow-random-weights"):
        FeatureSet.open(store)
    assert FeatureSet.open(store, ["pictures"]).random_weights == ()
    assert FeatureSet.open(store, allow_random_weights=True).random_weights == ("sound",)


def test_a_model_wants_the_fingerprints_it_was_trained_on(store: Store) -> None:
    features = FeatureSet.open(store)
    features.require(features.fingerprints)
    with pytest.raises(DataError, match=r"'sound' has fingerprint .* trained on 000000000000"):
        features.require({"sound": "0" * 12})
    with pytest.raises(DataError, match="'clip'"):
        features.require({"clip": "0" * 12})


def test_what_is_no_store_or_has_no_vectors_is_refused(tmp_path: Path, store: Store) -> None:
    with pytest.raises(StoreError, match="not a feature store"):
        FeatureSet.open(tmp_path)
    empty = feature_store(tmp_path / "empty", names(2), dims={})
    with pytest.raises(DataError, match="has no vectors"):
        FeatureSet.open(empty)


def _header(store: Store, table: str, shard: int) -> PartHeader:
    from pipeline.store.footer import read_footer

    part = next(part for part in store.parts(table) if part.shard == shard)
    return read_footer(part.path).header

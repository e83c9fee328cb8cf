"""A store on object storage gives the batches that the same store gives on a disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from extract.errors import StoreError
from pipeline.storage.location import location
from tests.fixtures.features import feature_store, names
from tests.pipeline.conftest import bucket, s3_environment, s3_server  # noqa: F401
from train.loading import vectors
from train.loading.features import FeatureSet
from train.loading.stream import Loader, Stream

if TYPE_CHECKING:
    from upath import UPath


@pytest.mark.slow
def test_batches_from_a_bucket(
    tmp_path: Path,
    bucket: UPath,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local = feature_store(tmp_path / "out", names(20))
    place = bucket / "some" / "store"
    bucket.fs.put(str(tmp_path / "out"), place.path, recursive=True)

    def no_arrow(*arguments: Any) -> None:
        raise AssertionError("a whole file was opened")

    monkeypatch.setattr(vectors, "_read_with_arrow", no_arrow)
    here, there = FeatureSet.open(local), FeatureSet.open(location(str(place)))
    assert there.ids == here.ids and there.fingerprints == here.fingerprints
    assert there.report() == here.report()
    loaders = [
        Loader(found, names(20), stream=Stream(6, buffer_bytes=900), shuffle=True) for found in (here, there)
    ]
    for mine, remote in zip(*loaders, strict=True):
        assert mine.ids == remote.ids
        for expert, features in mine.features.items():
            assert torch.equal(features, remote.features[expert])
            assert torch.equal(mine.start_seconds[expert], remote.start_seconds[expert])
    bucket.fs.rm(there.tables["sound"].paths[0].path)  # type: ignore[union-attr]
    with pytest.raises(StoreError):
        list(Loader(there, names(20)))

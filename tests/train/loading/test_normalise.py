"""Normalisation against NumPy on all steps at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fixtures.features import DIMS, feature_store, names, vectors
from train.errors import DataError
from train.loading.features import FeatureSet
from train.loading.normalise import Normalised, Normaliser, _Moments
from train.loading.stream import Loader, Stream

TRAINING = names(40)[::2]


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> FeatureSet:
    return FeatureSet.open(feature_store(tmp_path_factory.mktemp("store") / "out", names(40)))


def all_steps(expert: str, ids: list[str]) -> np.ndarray:
    known = [vectors(expert, name) for name in ids]
    return np.concatenate([v.astype(np.float64) for v in known if v is not None])


def test_it_is_fitted_on_the_steps_of_its_videos(features: FeatureSet) -> None:
    fitted = Normaliser.fit(Loader(features, TRAINING, stream=Stream(3)))
    for expert in DIMS:
        steps = all_steps(expert, TRAINING)
        np.testing.assert_allclose(fitted.mean[expert], steps.mean(axis=0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(fitted.std[expert], steps.std(axis=0), rtol=1e-5)


def test_batches_are_normalised_and_padding_stays_zero(features: FeatureSet) -> None:
    fitted = Normaliser.fit(Loader(features, TRAINING))
    loader = Normalised(Loader(features, names(40), stream=Stream(7)), fitted)
    assert len(loader) == 6 and loader.ids == tuple(names(40))
    plain = list(loader.loader)
    for batch, before in zip(loader, plain, strict=True):
        for expert, padding in batch.padding.items():
            wanted = (before.features[expert] - fitted.mean[expert]) / fitted.std[expert]
            wanted[padding] = 0
            torch.testing.assert_close(batch.features[expert], wanted, rtol=1e-5, atol=1e-6)


def test_it_survives_the_disk(features: FeatureSet, tmp_path: Path) -> None:
    fitted = replace(Normaliser.fit(Loader(features, TRAINING)), unmeasured=frozenset({"sound"}))
    fitted.save(tmp_path / "n.safetensors")
    again = Normaliser.load(tmp_path / "n.safetensors")
    assert again.unmeasured == fitted.unmeasured and again.mean.keys() == fitted.mean.keys()
    for kind in ("mean", "std"):
        for expert, tensor in getattr(fitted, kind).items():
            assert torch.equal(getattr(again, kind)[expert], tensor)
    assert [path.name for path in tmp_path.iterdir()] == ["n.safetensors"]
    (tmp_path / "bad").write_bytes(b"x" * 20)
    for name in ("bad", "nowhere"):
        with pytest.raises(DataError, match="cannot read"):
            Normaliser.load(tmp_path / name)


def test_moments_far_from_zero_constants_and_nan() -> None:
    random = np.random.default_rng(0)
    values = (random.normal(size=(900, 3)) * (1e-2, 1, 0) + (1000, 0, 5)).astype(np.float32)
    moments = _Moments(3)
    for part in np.split(values, [1, 1, 300]):
        moments.add(torch.from_numpy(part), nan=False)
    np.testing.assert_allclose(moments.mean, values.astype(np.float64).mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(moments.std()[:2], values.astype(np.float64).std(axis=0)[:2], rtol=1e-3)
    assert moments.std()[2] == 1
    values[random.random(values.shape) < 0.3] = np.nan
    holes = _Moments(3)
    for part in np.split(values, [1, 300]):
        holes.add(torch.from_numpy(part), nan=True)
    np.testing.assert_allclose(holes.mean, np.nanmean(values.astype(np.float64), axis=0), rtol=1e-6)
    np.testing.assert_allclose(holes.std()[:2], np.nanstd(values.astype(np.float64), axis=0)[:2], rtol=1e-3)


def test_categories_stay_zero_and_one() -> None:
    values = torch.tensor([[0.0, 1, 0, 1], [1, 1, 0, 0], [0, 1, 2, 0.5]])
    moments = _Moments(4)
    for row in values:
        moments.add(row[None], nan=False)
    assert moments.centre().tolist()[:2] == [0, 0] and moments.std().tolist()[:2] == [1, 1]
    np.testing.assert_allclose(moments.centre()[2:], values[:, 2:].mean(dim=0))
    np.testing.assert_allclose(moments.std()[2:], values[:, 2:].std(dim=0, correction=0))


def test_what_was_not_measured_becomes_the_mean(features: FeatureSet) -> None:
    fitted = replace(Normaliser.fit(Loader(features, TRAINING)), unmeasured=frozenset(DIMS))
    batch = next(iter(Loader(features, names(40), stream=Stream(2))))
    batch.features["pictures"][0, 0, 1] = np.nan
    changed = fitted.apply(batch)
    assert changed.features["pictures"][0, 0, 1] == 0
    assert all(tensor.isfinite().all() for tensor in changed.features.values())


def test_it_resumes_like_its_loader(features: FeatureSet) -> None:
    fitted = Normaliser.fit(Loader(features, TRAINING))

    def fresh() -> Normalised:
        return Normalised(Loader(features, names(40), stream=Stream(8), shuffle=True), fitted)

    first = fresh()
    first.set_epoch(1)
    batches = iter(first)
    next(batches)
    state = first.state_dict()
    second = fresh()
    second.load_state_dict(state)
    assert [batch.ids for batch in second] == [batch.ids for batch in batches]

"""VGGish against the reference vectors: front end, network, post-processing, both key layouts."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.errors import WeightsError
from extract.expert import Resources
from extract.experts.vggish import MODEL_FILE, VARIANTS, Vggish, VggishModel, VggishOptions, load_pca, log_mel
from extract.types import AudioBlock, Item, MediaInfo
from extract.weights.checkpoints import load_state_dict
from extract.weights.locate import verify

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, False, True)
RATE = 16_000
ARRAYS = {variant: variant.replace("truncated", "trunc") for variant in VARIANTS}


def items_of(samples: np.ndarray) -> list[Item]:
    tap = Vggish().tap(MEDIA)
    return [*tap.audio(AudioBlock(samples, RATE, 0.0)), *tap.close()]


def embeddings(model: Any, items: list[Item]) -> np.ndarray:
    return np.stack([rows[0]["embedding"] for rows in model(items)])


def reference_items(parity: Any, wave: int) -> list[Item]:
    """Those examples that the published code makes of a wave; it drops what remains."""
    length, seed = parity.reference("vggish")["waves"].tolist()[wave]
    return items_of(parity.inputs.waveform(length, RATE, seed))[: (length - 240) // 15_360]


@pytest.fixture(scope="module")
def checkpoint(parity: Any) -> Iterator[Path]:
    path = parity.checkpoint("vggish", "vggish-10086976.pth")
    yield path
    path.unlink()  # 289 MB


@pytest.fixture(scope="module")
def pca(parity: Any) -> Path:
    path: Path = parity.checkpoint("vggish_pca", "vggish_pca_params-970ea276.pth")
    return path


@pytest.fixture(scope="module")
def model(checkpoint: Path, pca: Path) -> Any:
    return Vggish(VggishOptions("pca_q8")).load(Resources(weights={"model": checkpoint, "pca": pca}))


@pytest.fixture(scope="module")
def random_model() -> Any:
    return Vggish().load(Resources(random_seed=0))


@pytest.mark.parametrize("wave", [0, 1, 2])
def test_every_variant_agrees_with_the_reference(wave: int, model: Any, parity: Any) -> None:
    reference = parity.reference("vggish")
    items = reference_items(parity, wave)
    logmel = np.stack([item.arrays["logmel"] for item in items])
    key = f"wav{wave}_logmel"
    parity.assert_close("vggish", key, logmel[:2, ::4], reference[key])
    pre = embeddings(VggishModel(model.network, Resources(), variant="raw_pre"), items)
    for variant, array in ARRAYS.items():
        pca = model.pca if variant.startswith("pca") else None
        finished = VggishModel(model.network, Resources(), variant=variant, pca=pca)
        mine = finished.finish(torch.from_numpy(pre))
        key = f"wav{wave}_{array}"
        parity.assert_close("vggish", key, mine.detach().numpy(), reference[key])


def test_a_published_file_gives_whole_steps(model: Any, parity: Any) -> None:
    mine = embeddings(model, reference_items(parity, 1))
    stored = parity.reference("vggish")["wav1_pca_q8"]
    assert (mine == mine.round()).all() and mine.min() >= 0 and mine.max() <= 255
    assert (mine == stored).mean() > 0.99


def test_tcvricks_layout_holds_the_same_network(model: Any, pca: Path, parity: Any) -> None:
    path = parity.checkpoint("vggish_tcvrick", "pytorch_vggish.pth")
    other = Vggish().load(Resources(weights={"model": path}))
    path.unlink()
    theirs, mine = other.network.state_dict(), model.network.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(theirs[name], tensor) for name, tensor in mine.items())


def test_the_state_dicts_have_the_published_names_and_shapes(model: Any, parity: Any) -> None:
    for table, module in (("vggish", model.network), ("vggish_pca", model.pca)):
        published = parity.rule.load_table(parity.folder / "shapes" / f"{table}.json")["keys"]
        assert {k: list(v.shape) for k, v in module.state_dict().items()} == published


def test_tensorflows_pca_file_is_the_same(pca: Path, tmp_path: Path) -> None:
    stored = load_state_dict(pca)
    path = tmp_path / "vggish_pca_params.npz"
    np.savez(
        path,
        pca_eigen_vectors=stored["pca_eigen_vectors"].double().numpy(),
        pca_means=stored["pca_means"][:, 0].double().numpy(),
    )
    assert load_pca(path).keys() == stored.keys()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in load_pca(path).items())
    path.write_bytes(path.read_bytes()[:9_000])
    with pytest.raises(WeightsError, match="truncated"):
        load_pca(path)


def test_the_front_end_is_the_transform_of_each_frame() -> None:
    """Frame 3, band 20, by the sums of the definition."""
    samples = np.random.default_rng(1).uniform(-1, 1, 2_000).astype(np.float32)
    n = np.arange(400)
    frame = samples[480:880] * (0.5 - 0.5 * np.cos(2 * np.pi * n / 400))
    magnitude = np.array([abs((frame * np.exp(-2j * np.pi * k * n / 512)).sum()) for k in range(257)])
    mel = 1127 * np.log(1 + np.arange(257) * 16_000 / 512 / 700)
    edges = np.linspace(1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700), 66)[20:23]
    weights = np.interp(mel, edges, [0, 1, 0])
    assert log_mel(samples).shape == (11, 64)
    assert log_mel(samples)[3, 20] == pytest.approx(np.log(weights @ magnitude + 0.01), abs=1e-5)


def test_an_example_gives_the_same_bits_whatever_the_batch(random_model: Any) -> None:
    items = items_of(np.random.default_rng(2).uniform(-1, 1, 6 * 15_360).astype(np.float32))
    assert random_model([]) == []
    six = embeddings(random_model, items)
    np.testing.assert_array_equal(embeddings(random_model, items[::-1]), six[::-1])
    np.testing.assert_array_equal(embeddings(random_model, items[2:3]), six[2:3])
    assert six.shape == (6, 128) and np.isfinite(six).all() and np.ptp(six, axis=0).max() > 0


def test_silence_and_a_few_samples_are_finite(random_model: Any) -> None:
    for samples in (np.zeros(15_600, np.float32), np.ones(3, np.float32)):
        (item,) = items_of(samples)
        assert np.isfinite(embeddings(random_model, [item])).all()


def test_half_precision_stays_within_two_percent(random_model: Any) -> None:
    items = items_of(np.random.default_rng(2).uniform(-1, 1, 4 * 15_360).astype(np.float32))
    network = random_model.network
    whole = embeddings(VggishModel(network, Resources(), variant="raw_pre"), items)
    half = embeddings(
        VggishModel(deepcopy(network), Resources(precision="bfloat16"), variant="raw_pre"), items
    )
    assert 0 < np.linalg.norm(half - whole) / np.linalg.norm(whole) < 0.02


def test_random_post_processing_is_on_its_scale() -> None:
    model = Vggish(VggishOptions("pca_q8_truncated")).load(Resources(random_seed=1))
    (item,) = items_of(np.random.default_rng(2).uniform(-1, 1, 15_600).astype(np.float32))
    steps = embeddings(model, [item])
    assert (steps == np.trunc(steps)).all() and 0 <= steps.min() < steps.max() <= 255


def test_other_files_are_refused(checkpoint: Path, pca: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is not the published vggish"):
        verify(checkpoint, MODEL_FILE)  # the synthetic file has the name, not the bytes
    with pytest.raises(WeightsError, match=r"of VGGish \(the file looks like VGGish's PCA\); 18 missing"):
        Vggish().load(Resources(weights={"model": pca}))
    vgg16 = tmp_path / "vgg16.pth"
    shapes = {
        "features.0.weight": (64, 3, 3, 3),
        "features.2.weight": (64, 64, 3, 3),
        "classifier.6.weight": (1000, 9),
    }
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, vgg16)
    with pytest.raises(WeightsError, match=r"looks like a VGG\).*features.0.weight is \(64, 3, 3, 3\)"):
        Vggish().load(Resources(weights={"model": vgg16}))
    truncated = tmp_path / "vggish-10086976.pth"
    with checkpoint.open("rb") as file:
        truncated.write_bytes(file.read(1_000_000))
    with pytest.raises(WeightsError, match="truncated"):
        Vggish().load(Resources(weights={"model": truncated}))
    no_archive = tmp_path / "vggish_pca_params.npz"
    with zipfile.ZipFile(no_archive, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(WeightsError):
        Vggish(VggishOptions("pca_q8")).load(Resources(weights={"model": checkpoint, "pca": no_archive}))


def test_only_post_processed_variants_need_the_pca_file() -> None:
    roles = {v: [file.role for file in Vggish(VggishOptions(v)).weights()] for v in VARIANTS}
    assert roles["raw_relu"] == roles["raw_pre"] == ["model"]
    assert all(roles[v] == ["model", "pca"] for v in VARIANTS if v.startswith("pca"))

"""I3D against the reference vectors, in both published layouts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.nets.i3d import InceptionI3d, batch_norms, pad_same, rename
from extract.weights.checkpoints import load_state_dict, load_strict, seeded, to_be_filled

CHANNELS = {"i3d_rgb": 3, "i3d_flow": 2}


def clip(parity: Any, frames: int, seed: int, channels: int) -> torch.Tensor:
    video = torch.from_numpy(parity.inputs.video(frames, 224, 224, seed)[..., :channels])
    return (2 * video.double() / 255 - 1).float().permute(3, 0, 1, 2)[None]


def undrawn(channels: int, eps: float = 1e-3) -> InceptionI3d:
    with to_be_filled():
        return InceptionI3d(channels, eps=eps).eval()


@pytest.fixture(scope="module", params=CHANNELS)
def published(request: pytest.FixtureRequest, parity: Any) -> Iterator[tuple[str, Path]]:
    path = parity.checkpoint(request.param, f"{request.param}.pt")
    yield request.param, path
    path.unlink()  # 51 MB


def test_every_stage_agrees_with_the_reference(published: tuple[str, Path], parity: Any) -> None:
    name, path = published
    network = undrawn(CHANNELS[name])
    load_strict(network, rename(load_state_dict(path)), what=name)
    reference = parity.reference(name)
    for frames, seed in reference["clips"].tolist():
        if frames > 17 and name == "i3d_flow":
            continue  # the network of i3d_rgb has seen that many; they take long
        with torch.inference_mode():
            features, cells, logits = network(clip(parity, frames, seed, CHANNELS[name]))
        for stage, mine in (("features", features), ("time", cells), ("logits", logits)):
            key = f"T{frames}_{stage}"
            parity.assert_close(name, key, mine[0].numpy(), reference[key])


def test_the_other_epsilon_is_what_video_features_computes(published: tuple[str, Path], parity: Any) -> None:
    """No file holds it; 1e-5 is told from 1e-3 by its values only."""
    name, path = published
    reference = parity.reference(name)
    assert {m.eps for m in batch_norms(InceptionI3d(3))} == {1e-3}
    network = undrawn(CHANNELS[name], eps=1e-5)
    load_strict(network, load_state_dict(path), what=name)
    seed = dict(reference["clips"].tolist())[24]
    with torch.inference_mode():
        features = network(clip(parity, 24, seed, CHANNELS[name]))[0][0].numpy()
    np.testing.assert_allclose(features, reference["vf_eps1e-5_T24"], atol=5e-5)
    assert np.abs(features - reference["T24_features"]).max() > 1e-4


@pytest.mark.parametrize("name", CHANNELS)
def test_both_published_layouts_are_the_same_network(name: str, parity: Any) -> None:
    mine = {
        k: list(v.shape)
        for k, v in InceptionI3d(CHANNELS[name]).state_dict().items()
        if not k.endswith("num_batches_tracked")  # files of 2017 are older than that counter
    }
    for layout in (name, f"{name}_hassony2"):
        keys = parity.rule.load_table(parity.folder / "shapes" / f"{layout}.json")["keys"]
        renamed = rename(
            {
                k: torch.empty(v, device="meta")
                for k, v in keys.items()
                if not k.endswith("num_batches_tracked")
            }
        )
        assert len(renamed) == 287 and {k: list(v.shape) for k, v in renamed.items()} == mine


def test_a_file_of_video_features_gives_the_same_features(parity: Any) -> None:
    path = parity.checkpoint("i3d_rgb_hassony2", "i3d_rgb_hassony2.pt")
    network = undrawn(3)
    load_strict(network, rename(load_state_dict(path)), what="I3D")
    path.unlink()
    reference = parity.reference("i3d_rgb")
    seed = dict(reference["clips"].tolist())[16]
    with torch.inference_mode():
        features = network(clip(parity, 16, seed, 3))[0][0].numpy()
    parity.assert_close("i3d_rgb", "T16_features", features, reference["T16_features"])


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(16, 7, 2), (17, 7, 2), (9, 3, 2), (4, 2, 2), (5, 3, 1)]
)
def test_padding_is_tensorflows_same(size: int, kernel: int, stride: int) -> None:
    maps = torch.arange(1.0, size + 1).view(1, 1, size, 1, 1)
    padded = pad_same(maps, (kernel, 1, 1), (stride, 1, 1)).flatten()
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    before = total // 2
    assert len(padded) == size + total and padded[before] == 1
    assert (len(padded) - kernel) // stride + 1 == outputs


def test_the_shortest_clip() -> None:
    network = undrawn(2)
    seeded(network, 0)
    with torch.inference_mode():
        assert network(torch.zeros(1, 2, 9, 224, 224))[0].shape == (1, 1024)
        with pytest.raises(RuntimeError):
            network(torch.zeros(1, 2, 8, 224, 224))

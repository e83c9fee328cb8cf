"""Every container of published weights, and what is said of files that are not checkpoints."""

from __future__ import annotations

import os
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from extract.errors import WeightsError
from extract.expert import Resources
from extract.weights.checkpoints import fill, load_state_dict, load_strict, seeded, to_be_filled

TENSORS = OrderedDict(weight=torch.arange(600.0).view(20, 30), bias=torch.ones(20))
RAN = "unpickled"


class Payload:
    """Runs code where it is unpickled without care."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(30, 20)
        self.bn = nn.BatchNorm1d(20)


def same(state: dict[str, torch.Tensor]) -> bool:
    return state.keys() == TENSORS.keys() and all(torch.equal(state[k], v) for k, v in TENSORS.items())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        {"state_dict": TENSORS, "epoch": 90, "arch": "resnet18"},
        {"model": TENSORS},
        {"dims": {"n_mels": 80}, "model_state_dict": TENSORS},
        {"state_dict": {f"module.{k}": v for k, v in TENSORS.items()}},
        {**TENSORS, "input_resolution": torch.tensor(224), "vocab_size": torch.tensor(49408)},
    ],
    ids=["bare", "state_dict", "model", "model_state_dict", "module.", "clip extras"],
)
def test_pickles_bare_or_wrapped(content: Any, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert same(load_state_dict(path))


def test_safetensors_and_torchscript(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(dict(TENSORS), tmp_path / "named.anything")
    assert same(load_state_dict(tmp_path / "named.anything"))
    layer = nn.Linear(30, 20).half()
    with torch.no_grad():
        layer.weight.copy_(TENSORS["weight"])
        layer.bias.copy_(TENSORS["bias"])
    layer.register_buffer("context_length", torch.tensor(77))
    trace: Any = torch.jit.trace
    trace(layer.float(), torch.zeros(1, 30)).half().save(str(tmp_path / "traced.pt"))
    assert same(load_state_dict(tmp_path / "traced.pt"))


def test_strings_of_python_2(parity: Any) -> None:
    path = parity.checkpoint("resnet18_places365", "resnet18_places365.pth.tar", container="torch_legacy_py2")
    state = load_state_dict(path)
    assert state["fc.weight"].shape == (365, 512)
    assert not any(key.startswith("module.") for key in state)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, 0.95])
def test_a_truncated_file_says_so(kept: float, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(WeightsError, match=r"net.pth \([\d,]+ bytes\) is truncated or not a checkpoint"):
        load_state_dict(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git-lfs pointer"),
        (b"\n<!DOCTYPE html><html>not found", "web page"),
        (b"PK\x03\x04" + bytes(100), "truncated or not a checkpoint"),
        (b"\x80\x02\x95\xff" + bytes(range(90)), "truncated or not a checkpoint"),
        (bytes(7) + b"\xff{" + bytes(90), "truncated or not a checkpoint"),
        (b"RIFF" + bytes(90), "truncated or not a checkpoint"),
    ],
)
def test_what_is_not_a_checkpoint_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=said):
        load_state_dict(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_does_not_run_unless_the_file_is_trusted(zipped: bool, tmp_path: Path) -> None:
    path, mark = tmp_path / "net.pth", tmp_path / RAN
    torch.save({"model": TENSORS, "x": Payload(mark)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="can run any code"):
        load_state_dict(path)
    assert not mark.exists()
    assert same(load_state_dict(path, trusted=True))
    assert mark.exists()


def test_a_trusted_module_gives_its_tensors(tmp_path: Path) -> None:
    torch.save({"model": nn.Linear(2, 3)}, tmp_path / "module.pth")
    assert load_state_dict(tmp_path / "module.pth", trusted=True).keys() == {"weight", "bias"}


def test_a_file_without_tensors_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "optimizer": {}}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="no tensors by name; it holds: epoch, optimizer"):
        load_state_dict(tmp_path / "net.pth")


def test_strict_loading_names_every_difference() -> None:
    state = Net().state_dict()
    del state["fc.bias"]
    state["fc.weight"] = torch.zeros(20, 31)
    state["head.weight"] = torch.zeros(1)
    with pytest.raises(WeightsError) as caught:
        load_strict(Net(), state, what="the net")
    message = str(caught.value)
    assert "not the weights of the net" in message
    assert "1 missing: fc.bias" in message and "1 unknown: head.weight" in message
    assert "1 of another shape: fc.weight is (20, 31), not (20, 30)" in message


def test_strict_loading_forgives_only_what_it_is_told_to() -> None:
    source, target = Net(), Net()
    seeded(source, 1)
    state = source.state_dict()
    del state["bn.num_batches_tracked"]
    state["text.weight"] = torch.zeros(1)
    load_strict(target, state, what="the net", ignore_prefixes=("text.",))
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in target.state_dict().items())
    del state["bn.running_var"]
    with pytest.raises(WeightsError, match=r"1 missing: bn.running_var; 1 unknown: text.weight"):
        load_strict(target, state, what="the net")


def test_many_differences_are_counted_and_the_network_recognised() -> None:
    state = {
        "encoder.blocks.0.attn.query.weight": torch.zeros(1),
        **{f"x{i}": torch.zeros(1) for i in range(9)},
    }
    with pytest.raises(WeightsError, match=r"looks like a Whisper.*10 unknown: \S+ x0, x1, x2, x3, \.\.\."):
        load_strict(Net(), state, what="the net")


def test_random_weights_depend_on_seed_and_name_alone() -> None:
    torch.manual_seed(0)
    first = Net()
    torch.manual_seed(1)
    second, third = Net(), Net()
    seeded(first, 5)
    seeded(second, 5)
    seeded(third, 6)
    assert torch.equal(first.fc.weight, second.fc.weight)
    assert not torch.equal(first.fc.weight, third.fc.weight)
    # the rule itself, so that a shard's seed keeps its meaning: crc32("fc.weight") + 5
    drawn = np.random.Generator(np.random.PCG64(zlib.crc32(b"fc.weight") + 5))
    expected = drawn.standard_normal((20, 30), dtype=np.float32) / np.sqrt(np.float32(30))
    np.testing.assert_allclose(first.fc.weight.detach().numpy(), expected, rtol=1e-6)
    assert torch.equal(first.state_dict()["bn.running_var"], torch.ones(20))


def test_random_weights_keep_a_deep_network_finite_in_half_precision() -> None:
    layers = [m for _ in range(60) for m in (nn.Linear(64, 64), nn.ReLU())]
    network = nn.Sequential(*layers)
    seeded(network, 0)
    out = network.bfloat16()(torch.ones(1, 64, dtype=torch.bfloat16))
    assert out.isfinite().all() and out.abs().max() < 1e3


def test_a_network_is_filled_from_its_file_or_from_a_seed(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "fc.pt")
    published, drawn, again = nn.Linear(30, 20), nn.Linear(30, 20), nn.Linear(30, 20)
    given = Resources(weights={"head": tmp_path / "fc.pt"})
    fill(published, given, "head", what="a head")
    assert same(dict(published.state_dict()))
    fill(published, given, "head", lambda path: {k: -v for k, v in load_state_dict(path).items()}, what="-")
    assert torch.equal(published.weight, -TENSORS["weight"])
    fill(drawn, Resources(random_seed=3), "head", what="a head")
    seeded(again, 3)
    assert torch.equal(drawn.weight, again.weight) and not torch.equal(drawn.weight, published.weight)


class Front(nn.Module):
    """Draws in every way that PyTorch and the experts' networks do, beside what is computed."""

    def __init__(self) -> None:
        super().__init__()
        linear = nn.Linear(9, 5)
        self.layers = nn.Sequential(nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4), linear, nn.Embedding(7, 3))
        for draw in (nn.init.trunc_normal_, nn.init.xavier_uniform_, nn.init.kaiming_normal_):
            draw(linear.weight)
        self.register_buffer("window", torch.hann_window(8))


def test_a_network_to_be_filled_draws_nothing() -> None:
    """Its buffers are there all the same, and the same seed gives the same network."""
    torch.manual_seed(0)
    drawn, state = Front(), torch.get_rng_state()
    with to_be_filled():
        undrawn = Front()
    assert torch.equal(torch.get_rng_state(), state)
    for (name, ours), (_, theirs) in zip(undrawn.named_buffers(), drawn.named_buffers(), strict=True):
        assert torch.equal(ours, theirs), name
    seeded(drawn, 1)
    seeded(undrawn, 1)
    for name, theirs in drawn.state_dict().items():
        assert torch.equal(undrawn.state_dict()[name], theirs), name
    Front()
    assert not torch.equal(torch.get_rng_state(), state)

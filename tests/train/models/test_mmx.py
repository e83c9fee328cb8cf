"""The sizes of Fish et al. 2021, and what stands where in a sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from extract.errors import UsageError
from tests.fixtures.batches import make_batch
from train.loading.batch import Batch
from train.loading.steps import Steps
from train.models.mmx import Mmx
from train.registry import make_model
from train.settings import choose, load_preset, preset_names

PRESETS = [name for name in preset_names() if name.startswith("fish2021/")]
DIMS = {"senet": 2048, "places": 512, "i3d_rgb": 1024, "i3d_flow": 1024, "r2plus1d": 512, "vggish": 128}
SMALL = {"width": 4, "clip_width": 3, "clips": 2, "sequences": 3, "sequence_width": 5, "bottleneck_width": 7}


def small(dims: dict[str, int], **options: Any) -> Mmx:
    torch.manual_seed(1)
    model = make_model("mmx", dims, 4, {**SMALL, **options}).eval()
    assert isinstance(model, Mmx)
    return model


def sizes(layer: Any) -> tuple[int, int]:
    return layer.in_features, layer.out_features


@pytest.mark.parametrize(("name", "clips", "joined"), [("mmx", 9, 1152), ("sequence-20", 20, 2560)])
def test_the_sizes_of_the_paper(name: str, clips: int, joined: int) -> None:
    with torch.device("meta"):
        model: Any = make_model("mmx", DIMS, 20, choose(preset=f"fish2021/{name}").model_options)
    assert model.sizes.clips == clips
    projected = [2048, 512, 1024, 1024, 512, 16 * 128]  # 16 centres for audio
    assert [sizes(layer) for layer in model.projections] == [(dim, 768) for dim in projected]
    assert [sizes(unit.look) for unit in model.gating.units] == [(768, 768)] * 6
    assert sizes(model.clip.project) == (6 * 768, 128) and sizes(model.clip.gate) == (128, 128)
    assert sizes(model.sequence) == (joined, 256)
    assert sizes(model.whole) == (10240, 2048) and model.bottleneck == 2048
    assert [sizes(layer) for layer in model.head if isinstance(layer, nn.Linear)] == [
        (2048, 1024),
        (1024, 20),
    ]


def test_the_presets_are_the_papers_comparisons() -> None:
    assert [name.removeprefix("fish2021/") for name in PRESETS] == [
        "mmx", "naive-concat", "pair", "sequence-1", "sequence-20", "sequence-5", "single",
    ]  # fmt: skip
    changed: dict[str, Any] = {}
    paper = choose(preset="fish2021/mmx")
    for name in PRESETS:
        choices = choose(preset=name)
        training = choices.training
        assert (training.optimizer, training.learning_rate) == ("amsgrad", 3e-5)
        assert (training.epochs, training.batch_size, training.patience) == (200, 32, None)
        different = set(choices.model_options.items()) - set(paper.model_options.items())
        changed[name.removeprefix("fish2021/")] = dict(different), len(choices.experts)
    assert changed == {
        "mmx": ({}, 5), "naive-concat": ({"fusion": "naive-concat"}, 5), "pair": ({}, 2),
        "sequence-1": ({"clips": 1}, 5), "sequence-5": ({"clips": 5}, 5), "sequence-20": ({"clips": 20}, 5),
        "single": ({"fusion": "naive-concat"}, 1),
    }  # fmt: skip
    assert load_preset("fish2021/single").summary.endswith("another by --experts")


def sequence(model: Mmx, clips: list[Tensor]) -> Tensor:
    """One sequence of these clips, zeros after them."""
    room = model.sizes.clips * model.sizes.clip_width
    joined = torch.cat(clips)
    return functional.relu(model.sequence(functional.pad(joined, (0, room - len(joined)))))


def clip(model: Mmx, steps: Tensor) -> Tensor:
    """A clip of one expert, without gating."""
    projected = functional.normalize(model.projections[0](steps.mean(0)), dim=0)
    vector: Tensor = model.clip(projected.unsqueeze(0))[0]
    return vector


@torch.no_grad()
def test_clips_make_sequences_and_sequences_the_video() -> None:
    model = small({"a": 6}, fusion="naive-concat")
    batch = make_batch({"a": (3, 5, 1)}, {"a": 6})
    found, there = model.sequences(batch)
    assert there.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    for video, lengths in enumerate([(2, 1), (2, 2, 1), (1,)]):
        first = 0
        for number, length in enumerate(lengths):
            steps = [batch.features["a"][video, first + i : first + i + 1] for i in range(length)]
            expected = sequence(model, [clip(model, step) for step in steps])
            torch.testing.assert_close(found[video, number], expected)
            first += length
        assert not found[video, len(lengths) :].any(), "what is not there is zero, without the layer's bias"
    torch.testing.assert_close(model.embed(batch), model.whole(found.flatten(1)))
    torch.testing.assert_close(model(batch), model.head(model.embed(batch)))


@torch.no_grad()
def test_shots_come_from_the_timeline_where_the_store_has_it() -> None:
    model = small({"a": 6}, fusion="naive-concat")
    plain = make_batch({"a": (4, 4)}, {"a": 6})  # a step each second
    shots, hidden = torch.tensor([[0.0, 3.0, 0.0], [0, 0, 0]]).double(), torch.tensor([2, 0])
    timed = replace(
        plain,
        features={**plain.features, "scenes": torch.zeros(2, 3, 0)},
        padding={**plain.padding, "scenes": torch.arange(3) >= hidden[:, None]},
        present={**plain.present, "scenes": hidden > 0},
        start_seconds={**plain.start_seconds, "scenes": shots},
    )
    found, there = model.sequences(timed)
    steps = plain.features["a"][0]
    expected = sequence(model, [clip(model, steps[:3]), clip(model, steps[3:])])
    torch.testing.assert_close(found[0, 0], expected)
    assert there.tolist() == [[True, False, False], [True, True, False]], "no shots: cut at the steps"
    torch.testing.assert_close(found[1], model.sequences(plain)[0][1])


@torch.no_grad()
def test_a_long_video_shows_sequences_evenly_spread() -> None:
    model = small({"a": 6}, fusion="naive-concat")
    for steps in (6, 7, 8, 9, 13, 40):
        batch = make_batch({"a": (steps, 2)}, {"a": 6})
        found, there = model.sequences(batch)
        many = -(-steps // 2)
        assert there[0].tolist() == [number < many for number in range(3)]
        for place, number in enumerate(Steps(3, "equidistant").choose(many, draw=(0,)).tolist()):
            clips = [clip(model, step[None]) for step in batch.features["a"][0, 2 * number : 2 * number + 2]]
            torch.testing.assert_close(found[0, place], sequence(model, clips))


def test_gating_looks_at_the_other_experts_of_the_same_clip_alone() -> None:
    model = small({"a": 6, "b": 4})
    batch = make_batch({"a": (4,), "b": (4,)}, {"a": 6, "b": 4})
    leaves = {name: values.clone().requires_grad_() for name, values in batch.features.items()}
    sequences, _ = model.sequences(replace(batch, features=leaves))
    sequences[0, 1].sum().backward()  # type: ignore[no-untyped-call]  # clips 2 and 3
    for leaf in leaves.values():
        assert leaf.grad is not None
        assert (leaf.grad[0].abs().sum(1) > 0).tolist() == [False, False, True, True]


@torch.no_grad()
def test_audio_is_pooled_by_netvlad_and_another_expert_if_it_is_named() -> None:
    def moved(model: Mmx, name: str) -> float:
        """What changes when each clip's steps become their mean."""
        batch = one_clip({"vggish": 5, "a": 6})
        mean = {**batch.features, name: batch.features[name].mean(1, keepdim=True).expand(-1, 3, -1)}
        return float((model(batch) - model(replace(batch, features=mean))).abs().max())

    wide = {"sequence_width": 32}
    plain = small({"vggish": 5, "a": 6}, **wide)
    assert list(plain.vlads) == ["vggish"]
    assert moved(plain, "vggish") > 1e-5 > 1e-6 > moved(plain, "a")
    named = small({"vggish": 5, "a": 6}, vlad="a", **wide)
    assert moved(named, "a") > 1e-5 > 1e-6 > moved(named, "vggish")
    assert not small({"a": 6}).vlads and not small({"vggish": 5}, vlad=()).vlads
    with pytest.raises(UsageError, match=r"model.vlad names vgish; the experts are a"):
        small({"a": 6}, vlad="vgish")


def one_clip(dims: dict[str, int]) -> Batch:
    """Two videos of one shot, in which every expert has three steps."""
    batch = make_batch(dict.fromkeys(dims, (3, 3)), dims)
    return replace(
        batch,
        features={**batch.features, "scenes": torch.zeros(2, 1, 0)},
        padding={**batch.padding, "scenes": torch.zeros(2, 1, dtype=torch.bool)},
        present={**batch.present, "scenes": torch.ones(2, dtype=torch.bool)},
        start_seconds={**batch.start_seconds, "scenes": torch.zeros(2, 1).double()},
    )


def test_it_trains_in_mixed_precision() -> None:
    dims = {"a": 6, "vggish": 4}
    model = small(dims, batch_norm=True).train()
    batch = make_batch({"a": (3, 0, 5), "vggish": (2, 4, 0)}, dims, genres=4)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(batch, torch.ones(4))
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad():
        model.eval()
        half = torch.autocast("cpu", torch.bfloat16)
        exact = model.embed(batch)
        with half:
            near = model.embed(batch)
    np.testing.assert_allclose(near.float(), exact, atol=0.05)


@pytest.mark.parametrize(
    ("options", "words"), [({"clips": 0}, "clips is 0"), ({"h_layers": -1}, "h_layers is -1")]
)
def test_what_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        small({"a": 6}, **options)


def test_places_without_clips_are_not_computed() -> None:
    dims = {"a": 4, "b": 3}
    model = small(dims)
    seen: list[int] = []
    for layer in (model.sequence, *model.projections):
        layer.register_forward_hook(lambda layer, given, made: seen.append(len(given[0])))
    model(make_batch({"a": (2, 4), "b": (0, 1)}, dims))
    # One sequence of two clips and two sequences, of two times three places; six clips have a, one has b.
    assert sorted(seen) == [1, 3, 6]

"""The sizes of Fish et al. 2021, and what stands where in a sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_score, recall_score
from torch import Tensor, nn
from torch.nn import functional

from extract.errors import UsageError
from tests.fixtures.batches import make_batch, with_features
from train.layers.gating import CollaborativeGating, GatedEmbedding
from train.loading.batch import Batch
from train.loading.steps import Steps
from train.models.mmx import Mmx
from train.registry import make_model
from train.settings import choose, load_preset, preset_names

PRESETS = [name for name in preset_names() if name.startswith("fish2021/")]
DIMS = {"senet": 2048, "places": 512, "i3d_flow": 1024, "r2plus1d": 512, "vggish": 128}
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
    projected = [2048, 512, 1024 + 512, 16 * 128]  # motion is two networks, audio has 16 centres
    assert [sizes(layer) for layer in model.projections] == [(dim, 768) for dim in projected]
    assert [sizes(unit.look) for unit in model.fusion.gating.units] == [(768, 768)] * 4
    assert [sizes(module.project) for module in model.fusion.embeddings] == [(768, 32)] * 4
    assert model.fusion.width == 128 and model.bottleneck == 2048
    assert layers(model.sequence) == [(joined, 256), "ReLU", (256, 256), "ReLU"]
    assert layers(model.whole) == [(10240, 2048), "ReLU", (2048, 2048), "ReLU"]
    assert layers(model.head) == [(2048, 1024), "ReLU", (1024, 20)]


def layers(module: Any) -> list[Any]:
    """Sizes of the linear layers and the names of the others, but for dropout."""
    return [
        sizes(layer) if isinstance(layer, nn.Linear) else type(layer).__name__
        for layer in module
        if not isinstance(layer, nn.Dropout)
    ]


@torch.no_grad()
def test_motion_is_one_expert_of_two_networks() -> None:
    model = small({"flow": 3, "a": 6, "r2": 2}, fusion="direct", motion=("flow", "r2"))
    assert model.experts == [("flow", "r2"), ("a",)]
    assert small({"a": 6, "r2": 2}, motion=("flow", "r2")).experts == [("a",), ("r2",)]
    batch = make_batch({"flow": (1, 1), "a": (1, 1), "r2": (1, 0)}, model.inputs)
    both = torch.cat([batch.features["flow"][:, 0], batch.features["r2"][:, 0]], dim=1)
    motion = functional.normalize(model.projections[0](both), dim=1)  # the second video has no r2: zeros
    other = functional.normalize(model.projections[1](batch.features["a"][:, 0]), dim=1)
    joined = functional.pad(torch.cat([motion, other], dim=1), (0, 8))
    torch.testing.assert_close(model.sequences(batch)[0][:, 0], model.sequence(joined))


@torch.no_grad()
def test_each_gated_expert_goes_through_its_own_module_and_a_clip_has_unit_length() -> None:
    model: Any = small({"a": 6, "b": 4}, clip_width=6)
    vectors = functional.normalize(torch.randn(5, 2, 4), dim=2)
    present = torch.tensor([[True, True], [True, False], [False, True], [True, True], [True, True]])
    found = model.fusion(vectors * present.unsqueeze(2), present)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))
    gated = model.fusion.gating(vectors * present.unsqueeze(2), present)
    for i, module in enumerate(model.fusion.embeddings):
        own = functional.normalize(module(gated[:, i]) * present[:, i, None], dim=1)
        part = functional.normalize(found[:, 3 * i : 3 * i + 3], dim=1)
        torch.testing.assert_close(part, own)
    assert not found[1, 3:].any() and not found[2, :3].any(), "an absent expert has zeros"
    with pytest.raises(UsageError, match="clip_width is 1; 2 experts need as much"):
        small({"a": 6, "b": 4}, clip_width=1)


@pytest.mark.parametrize("fusion", ["naive-concat", "direct"])
def test_the_baselines_have_no_gate(fusion: str) -> None:
    model: Any = small({"a": 6, "b": 4}, fusion=fusion)
    assert not [name for name, _ in model.named_modules() if "gat" in name or "look" in name]
    assert not [m for m in model.modules() if isinstance(m, (GatedEmbedding, CollaborativeGating))]
    wide = [("direct", [(2 * 2 * 4, 5)]), ("naive-concat", [(2 * 3, 5)])]
    assert layers(model.sequence)[0] == dict(wide)[fusion][0]


def test_the_presets_are_the_papers_comparisons() -> None:
    assert [name.removeprefix("fish2021/") for name in PRESETS] == [
        "mmx", "naive-concat", "pair", "per-sequence", "sequence-1", "sequence-20", "sequence-5", "single",
    ]  # fmt: skip
    changed: dict[str, Any] = {}
    paper = choose(preset="fish2021/mmx")
    for name in PRESETS:
        choices = choose(preset=name)
        training = choices.training
        assert (training.optimizer, training.learning_rate) == ("amsgrad", 3e-5)
        assert (training.epochs, training.batch_size, training.patience) == (200, 32, None)
        assert training.balance and choices.split.fractions == (0.8, 0.1, 0.1)
        assert (training.clip, training.monitor) == (None, "map") and choices.model_options["dropout"] == 0
        assert choices.labels.least_shots == 10
        usual = paper.model_options
        different = {key: value for key, value in choices.model_options.items() if usual.get(key) != value}
        changed[name.removeprefix("fish2021/")] = different, len(choices.experts)
    assert changed == {
        "mmx": ({}, 5), "naive-concat": ({"fusion": "naive-concat"}, 5), "pair": ({}, 2),
        "per-sequence": ({"per_sequence": True}, 5),
        "sequence-1": ({"clips": 1}, 5), "sequence-5": ({"clips": 5}, 5), "sequence-20": ({"clips": 20}, 5),
        "single": ({"fusion": "direct"}, 1),
    }  # fmt: skip
    assert load_preset("fish2021/single").summary.endswith("another by --experts")


def sequence(model: Mmx, clips: list[Tensor]) -> Tensor:
    """One sequence of these clips, zeros after them."""
    room = model.sizes.clips * model.fusion.width
    joined = torch.cat(clips)
    found: Tensor = model.sequence(functional.pad(joined, (0, room - len(joined))))
    return found


def clip(model: Mmx, steps: Tensor) -> Tensor:
    """A clip of one expert, without gating."""
    projected = functional.normalize(model.projections[0](steps.mean(0)), dim=0)
    vector: Tensor = model.fusion(projected[None, None], torch.ones(1, 1, dtype=torch.bool))[0]
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

    wide = {"clip_width": 8, "sequence_width": 32, "bottleneck_width": 32}
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


@torch.no_grad()
def test_genres_of_every_sequence() -> None:
    model = small({"a": 6}, fusion="naive-concat", per_sequence=True)
    batch = make_batch({"a": (3, 5, 1)}, {"a": 6}, genres=4)
    assert batch.labels is not None
    sequences, there = model.sequences(batch)
    each, known = model.sequence_logits(batch)
    assert torch.equal(known, there) and each.shape == (3, 3, 4)
    torch.testing.assert_close(each, model.head(model.whole(sequences)))
    for video, count in enumerate((2, 3, 1)):
        mean = each[video, :count].sigmoid().mean(0)
        torch.testing.assert_close(model(batch)[video].sigmoid(), mean)
        torch.testing.assert_close(model.embed(batch)[video], model.whole(sequences[video, :count]).mean(0))
    expected = functional.binary_cross_entropy_with_logits(each[there], batch.labels[[0, 0, 1, 1, 1, 2]])
    torch.testing.assert_close(model.loss(batch, torch.ones(4)), expected)
    with pytest.raises(UsageError, match="per_sequence"):
        small({"a": 6}).sequence_logits(batch)


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


PAIRS = 24


def films(count: int, seed: int) -> Batch:
    """Clips with 24 signs, by fair coins, in both experts: with the genre the same ones, without it others.

    In noise of deviation 1, one pair of signs says little; either expert alone says nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    plain = make_batch(dict.fromkeys("ab", (1,) * count), {"a": PAIRS, "b": PAIRS}, genres=1, seed=seed)
    assert plain.labels is not None
    coins = (torch.rand(count, 1, PAIRS, generator=generator) < 0.5) * 2.0 - 1
    shown = {"a": coins, "b": coins * (2 * plain.labels - 1).unsqueeze(1)}
    return with_features(plain, {name: signs + plain.features[name] for name, signs in shown.items()})


@pytest.mark.slow
def test_gating_finds_what_no_ungated_baseline_does() -> None:
    """Four numbers are left of a clip: side by side they hold four products of two experts, gated all 24."""
    new = films(500, seed=0)
    assert new.labels is not None
    truth, found = new.labels.numpy() > 0, {}
    sizes = {"width": 48, "clip_width": 4, "clips": 1, "sequences": 1, "sequence_width": 16}
    for fusion, experts in {"gated": "ab", "naive-concat": "ab", "direct": "a"}.items():
        options = {**sizes, "bottleneck_width": 16, "hidden": 16, "dropout": 0.0, "fusion": fusion}
        torch.manual_seed(0)
        model = make_model("mmx", dict.fromkeys(experts, PAIRS), 1, options)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for step in range(100 if fusion == "direct" else 300):
            optimizer.zero_grad()
            model.loss(films(256, seed=1000 + step), torch.ones(1)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            found[fusion] = model.eval()(new).sigmoid().numpy()
    reached = {fusion: average_precision_score(truth, scores) for fusion, scores in found.items()}
    assert reached["gated"] > 0.95 > 0.9 > reached["naive-concat"] > reached["direct"]
    assert reached["direct"] < 0.6
    assert precision_score(truth, found["gated"] >= 0.5) > 0.85
    assert recall_score(truth, found["gated"] >= 0.5) > 0.85

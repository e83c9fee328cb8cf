"""What every model promises; run for every file of ``train/models``."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import precision_score, recall_score
from torch import Tensor

from extract.errors import UsageError
from tests.fixtures.batches import make_batch, with_features
from train.evaluation.metrics import average_precision
from train.loading.batch import Batch
from train.model import GenreModel, SolvedModel
from train.registry import make_model, model_class, model_names, model_options

GENRES = 5
DIMS = {"vit": 6, "ast": 10, "words": 4}
# Eight videos: full ones, short ones, each expert absent somewhere, one with a single expert.
STEPS = {
    "vit": (7, 3, 1, 0, 5, 7, 2, 0),
    "ast": (4, 4, 0, 2, 1, 3, 0, 0),
    "words": (1, 9, 5, 3, 0, 0, 0, 6),
}
# The same for models that do not work with any experts: of those that suit them, with short vectors.
SHORT = {"spectrogram": 30}
STEPS_OF_ONE = (7, 3, 1, 2, 5, 7, 4, 0)
STEPS_OF_SEVERAL = ((7, 3, 1, 0, 5, 7, 2, 4), (4, 4, 0, 2, 1, 3, 5, 2))
# Small ones of every option that a model of the folder may have.
SMALL: Mapping[str, Any] = {
    "width": 16, "layers": 1, "heads": 2, "feedforward": 32, "longest": 8,
    "filters": 64, "hidden": 24, "moments": 6, "units": 16, "c": "10", "gamma": "0.05", "folds": 2,
    "trailer_width": 24, "text_width": 16,
    "sequences": 8, "bottleneck_width": 32, "frame_width": 16,
}  # fmt: skip
# Beside the defaults: what takes another way through a model.
VARIANTS = [
    *((name, {}) for name in model_names()),
    ("mlp", {"layers": 0}),
    ("multi-transformer", {"averaged": "ast"}),
    ("multi-transformer", {"activation": "relu", "norm": "post", "final_norm": True}),
    ("multi-transformer", {"head": 12}),
    ("single-transformer", {"positions": "sinusoidal", "norm": "post"}),
    *(("ctt", {"head": head}) for head in "AB"),
    *(("svm", {"kernel": kernel}) for kernel in ("linear", "linear,rbf")),
    ("ctt", {"dense": True}),
    ("ctt", {"batch_norm": True}),
    *((name, {"padded": 4}) for name in ("ctt", "lstm")),
    ("mmx", {"fusion": "naive-concat", "clips": 2, "sequences": 6}),
    ("mmx", {"fusion": "direct", "per_sequence": True, "clips": 2, "sequences": 12}),
    ("mmx", {"vlad": "ast", "batch_norm": True, "include_self": True, "activation": "mish"}),
]
TOLERANCE = 1e-5  # other shapes, other kernels: float32 roundings of values near 1

variants = pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=lambda value: str(value) if value else "defaults"
)


def dims_of(name: str) -> Mapping[str, int]:
    suits = model_class(name).suits
    return DIMS if suits is None else {expert: SHORT.get(expert, 6) for expert in suits}


def steps_of(name: str) -> dict[str, tuple[int, ...]]:
    dims = dims_of(name)
    if dims is DIMS:
        return dict(STEPS)
    return dict(zip(dims, cycle([STEPS_OF_ONE] if len(dims) == 1 else STEPS_OF_SEVERAL), strict=False))


def new(
    name: str, options: Mapping[str, Any] | None = None, dims: Mapping[str, int] | None = None
) -> GenreModel:
    has = model_class(name).Options.__dataclass_fields__
    given = {**{k: v for k, v in SMALL.items() if k in has}, **(options or {})}
    return make_model(name, dims or dims_of(name), GENRES, given).eval()


def small(
    name: str, options: Mapping[str, Any] | None = None, dims: Mapping[str, int] | None = None
) -> GenreModel:
    """Always the same weights; a solved model is solved."""
    torch.manual_seed(1)
    model = new(name, options, dims)
    if isinstance(model, SolvedModel):
        some = make_batch({expert: (2,) * 24 for expert in model.inputs}, model.inputs, genres=GENRES)
        model.solve([some], [some], seed=1)
    return model


def batch(name: str) -> Batch:
    return make_batch(steps_of(name), dims_of(name), genres=GENRES)


def logits(model: GenreModel, batch: Batch) -> Tensor:
    with torch.no_grad():
        out: Tensor = model(batch)
    return out


@variants
@pytest.mark.slow
def test_it_gives_one_logit_for_each_genre_and_one_vector(name: str, options: dict[str, Any]) -> None:
    model = small(name, options)
    assert model.summary and "\n" not in model.summary
    out = logits(model, batch(name))
    assert out.shape == (8, GENRES) and out.isfinite().all()
    assert (out[:, None] - out[None]).abs().amax(dim=2).fill_diagonal_(1).min() > 1e-4, "videos differ"
    assert model.embed(batch(name)).shape[0] == 8


@variants
@pytest.mark.parametrize("junk", [1e4, float("nan"), float("inf")])
@pytest.mark.slow
def test_padded_steps_and_absent_experts_have_no_influence(
    name: str, options: dict[str, Any], junk: float
) -> None:
    model, clean = small(name, options), batch(name)
    dirty = with_features(
        clean,
        {e: f.masked_fill(clean.padding[e].unsqueeze(-1), junk) for e, f in clean.features.items()},
    )
    assert torch.equal(logits(model, clean), logits(model, dirty))


@variants
@pytest.mark.slow
def test_every_present_step_has_influence_and_gets_a_gradient(name: str, options: dict[str, Any]) -> None:
    model, plain = small(name, options), batch(name)
    leaves = {expert: f.clone().requires_grad_() for expert, f in plain.features.items()}
    model(with_features(plain, leaves)).square().sum().backward()
    for expert, leaf in leaves.items():
        assert leaf.grad is not None
        reached = leaf.grad.abs().amax(dim=2) > 0
        assert torch.equal(reached, ~plain.padding[expert]), expert


@variants
@pytest.mark.slow
def test_every_parameter_can_learn(name: str, options: dict[str, Any]) -> None:
    model, steps = small(name, options), steps_of(name)
    if isinstance(model, SolvedModel):
        assert not list(model.parameters())
        return
    # Steps beyond the table, and each expert absent once, so that every row of it is asked for.
    for network in (model, *model.independent_networks().values()):
        for absent in steps:
            full = {expert: (8,) * 7 + (0 if expert == absent else 8,) for expert in steps}
            network(make_batch(full, dims_of(name))).square().sum().backward()
        network(batch(name)).square().sum().backward()
    learned = [(n, p.grad) for n, p in model.named_parameters() if p.requires_grad]
    assert [n for n, grad in learned if grad is None or not grad.abs().sum()] == []


@variants
@pytest.mark.slow
def test_the_order_of_the_batch_does_not_matter(name: str, options: dict[str, Any]) -> None:
    model, order, whole = small(name, options), [5, 0, 7, 2, 1, 6, 3, 4], batch(name)
    torch.testing.assert_close(
        logits(model, whole.select(order)), logits(model, whole)[order], atol=TOLERANCE, rtol=0
    )


@variants
@pytest.mark.slow
def test_a_video_does_not_depend_on_its_batch_or_its_padding(name: str, options: dict[str, Any]) -> None:
    model, whole = small(name, options), batch(name)
    expected = logits(model, whole)
    for i in range(len(whole)):
        steps = {expert: max(1, counts[i]) for expert, counts in steps_of(name).items()}
        one = whole.select([i])
        alone = Batch(
            one.ids,
            {e: f[:, : steps[e]] for e, f in one.features.items()},
            {e: p[:, : steps[e]] for e, p in one.padding.items()},
            one.present,
            {e: s[:, : steps[e]] for e, s in one.start_seconds.items()},
        )
        torch.testing.assert_close(logits(model, alone)[0], expected[i], atol=TOLERANCE, rtol=0)


@variants
@pytest.mark.slow
def test_a_video_may_be_longer_than_any_before(name: str, options: dict[str, Any]) -> None:
    steps = {expert: (40, 1) for expert in dims_of(name)}
    assert logits(small(name, options), make_batch(steps, dims_of(name))).isfinite().all()


@variants
@pytest.mark.slow
def test_saving_and_loading_gives_the_same_predictions(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    from safetensors.torch import load_model, save_model

    model, eight = small(name, options), batch(name)
    save_model(model, str(tmp_path / "model.safetensors"))
    torch.manual_seed(2)
    other = new(name, options)
    assert not torch.equal(logits(other, eight), logits(model, eight))
    load_model(other, str(tmp_path / "model.safetensors"))
    assert torch.equal(logits(other, eight), logits(model, eight))


@variants
@pytest.mark.slow
def test_a_batch_of_8_is_overfitted(name: str, options: dict[str, Any]) -> None:
    undropped = {"dropout": 0.0} if "dropout" in model_class(name).Options.__dataclass_fields__ else {}
    model, eight = small(name, {**options, **undropped}).train(), batch(name)
    assert eight.labels is not None
    if isinstance(model, SolvedModel):  # its probabilities need not be sharp, the order is right
        model.solve([eight], [eight], seed=0)
        assert average_precision(eight.labels > 0, logits(model, eight)) == 1
        return
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(150):
        optimizer.zero_grad()
        model.loss(eight, torch.ones(GENRES)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % 10 == 9:
            if torch.equal(logits(model.eval(), eight) > 0, eight.labels > 0.5):
                return
            model.train()
    pytest.fail("150 steps do not do it")


@pytest.mark.parametrize("name", model_names())
@pytest.mark.slow
def test_genres_of_new_videos_are_ranked_right_and_predicted_at_one_half(name: str) -> None:
    """Ranking figures hide calibration: precision and recall at the threshold are looked at as well."""
    undropped = {"dropout": 0.1} if "dropout" in model_class(name).Options.__dataclass_fields__ else {}
    model = small(name, undropped)
    known, new = planted(name, 96, seed=1), planted(name, 64, seed=2)
    for network in (*model.independent_networks().values(), model):
        learned = [p for p in network.parameters() if p.requires_grad]
        if learned:
            train_on(known, network, torch.optim.Adam(learned, lr=1e-2))
        network.requires_grad_(False).eval()
    if isinstance(model, SolvedModel):
        model.solve([known], [new], seed=0)
    model.settle([known], torch.ones(GENRES))
    assert new.labels is not None
    truth, scores = new.labels.numpy() > 0, logits(model, new).sigmoid().numpy()
    assert average_precision(truth, scores) > 0.9
    assert precision_score(truth, scores >= 0.5, average="macro") > 0.8
    assert recall_score(truth, scores >= 0.5, average="macro") > 0.8


def train_on(batch: Batch, model: GenreModel, optimizer: torch.optim.Optimizer) -> None:
    for _ in range(60):
        optimizer.zero_grad()
        model.train().loss(batch, torch.ones(GENRES)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def planted(name: str, videos: int, *, seed: int) -> Batch:
    """Videos of four steps of each expert, which all show the genres in noise, each in a direction."""
    dims = dims_of(name)
    plain = make_batch(dict.fromkeys(dims, (4,) * videos), dims, genres=GENRES, seed=seed)
    assert plain.labels is not None
    generator = torch.Generator().manual_seed(0)
    shown = {}
    for expert, dim in dims.items():
        directions = torch.randn(GENRES, dim, generator=generator)
        signs = (2 * plain.labels - 1) @ torch.nn.functional.normalize(directions, dim=1)
        shown[expert] = plain.features[expert] * 0.3 + 2 * signs.unsqueeze(1)
    return with_features(plain, shown)


@variants
def test_one_expert_is_enough(name: str, options: dict[str, Any]) -> None:
    dims = dims_of(name)
    if dims is not DIMS and len(dims) > 1:
        pytest.skip("it says that it needs more")
    expert = "ast" if dims is DIMS else next(iter(dims))
    model = small(name, options, {expert: dims[expert]})
    assert logits(model, make_batch({expert: (3, 1)}, dims)).shape == (2, GENRES)


@pytest.mark.parametrize("name", model_names())
def test_the_order_of_steps_matters_to_models_that_use_it_and_to_no_others(name: str) -> None:
    dims = dims_of(name)
    plain = make_batch({expert: (6, 6) for expert in dims}, dims)
    turned = with_features(plain, {e: f.flip(1) for e, f in plain.features.items()})
    model = small(name)
    moved = float((logits(model, plain) - logits(model, turned)).abs().max())
    if model.uses_order:
        assert moved > 1e-3, f"turned steps change nothing: say uses_order = False in the class of {name}"
    else:
        assert moved <= TOLERANCE, f"turned steps change the logits: {name} says uses_order = False"


def test_averaged_experts_of_the_multi_transformer_have_no_order() -> None:
    plain = make_batch({"vit": (6, 6), "ast": (4, 4), "words": (3, 3)}, DIMS)
    turned = with_features(plain, {**plain.features, "ast": plain.features["ast"].flip(1)})
    averaged, full = small("multi-transformer", {"averaged": "ast"}), small("multi-transformer")
    torch.testing.assert_close(logits(averaged, plain), logits(averaged, turned), atol=TOLERANCE, rtol=0)
    assert (logits(full, plain) - logits(full, turned)).abs().max() > 1e-3


def test_names_are_the_files() -> None:
    assert {"mlp", "multi-transformer", "single-transformer", "vit-ast", "ctt-s"} <= set(model_names())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("multi_transformer", {}, "did you mean 'multi-transformer'"),
        ("mlp", {"depth": 3}, "model 'mlp' has no option 'depth'; it has: width, layers, dropout"),
        ("mlp", {"dropout": "1"}, "dropout is 1.0; a share from 0 to below 1"),
        ("mlp", {"width": "0"}, "at least 1"),
        ("mlp", {"layers": -1}, "at least 0"),
        ("single-transformer", {"width": 10, "heads": 4}, "width 10 is not a multiple of heads 4"),
        ("single-transformer", {"layers": 0}, "layers is 0; at least 1"),
        ("single-transformer", {"norm": "batch"}, "model.norm is 'batch'; allowed: post, pre"),
        ("single-transformer", {"positions": "sinusoidal", "width": 9, "heads": 3}, "an even one"),
        ("multi-transformer", {"head": -1}, "head is -1"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        model_options(name, options)


def test_averaging_an_expert_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match=r"model.averaged names clip; the experts are vit, ast, words"):
        make_model("multi-transformer", DIMS, GENRES, {"averaged": ["clip"]})


def test_sinusoids_are_those_of_the_transformer_paper() -> None:
    from train.layers.basic import sinusoids

    table = sinusoids(torch.tensor([0, 3]), 4)
    angles = torch.tensor([3.0, 3.0 / 100])  # 10000^(2i/4) for i = 0, 1
    torch.testing.assert_close(table[0], torch.tensor([0.0, 0, 1, 1]))
    torch.testing.assert_close(table[1], torch.cat([angles.sin(), angles.cos()]))

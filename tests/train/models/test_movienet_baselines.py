"""TSN, TRN, I3D and MovieNet's own against plain loops; all say the same again when nothing is drawn."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch

from tests.fixtures.batches import make_batch
from train.models.movienet import average_prediction
from train.models.trn import Relation
from train.registry import make_model

DIMS = {"resnet152": 6}
PLAIN: Any = {"dropout": 0}


def new(name: str, inputs: Any, genres: int, options: Any) -> Any:
    return make_model(name, inputs, genres, options)


@pytest.mark.slow
def test_tsn_averages_the_scores_of_its_segments() -> None:
    model, batch = new("tsn", DIMS, 4, PLAIN), make_batch({"resnet152": (7, 3)}, DIMS)
    torch.manual_seed(5)
    drawn = model.train()(batch)
    torch.manual_seed(5)
    snippets = model.snippets(batch)
    scores = [model.head(snippets[:, k]) for k in range(3)]
    torch.testing.assert_close(drawn, sum(scores) / 3)
    assert not torch.equal(drawn, model(batch))
    expected = torch.stack([model.train()(batch) for _ in range(3000)]).mean(dim=0)
    torch.testing.assert_close(expected, model.eval()(batch), atol=0.02, rtol=0)


def test_i3d_is_the_mean_of_what_it_says_of_each_clip() -> None:
    model, batch = new("i3d-mean", DIMS, 4, PLAIN).eval(), make_batch({"resnet152": (5, 1)}, DIMS)
    of_clips = model.head(batch.features["resnet152"])
    torch.testing.assert_close(model(batch)[0], of_clips[0].mean(dim=0))
    torch.testing.assert_close(model(batch)[1], of_clips[1, 0])


def test_trn_adds_the_scores_of_all_scales() -> None:
    options = {**PLAIN, "segments": 4, "width": 5}
    model, batch = new("trn", DIMS, 3, options).eval(), make_batch({"resnet152": (9, 2)}, DIMS)
    snippets = model.project(model.snippets(batch))
    logits = model.head.bias.expand(2, 3)
    for i, relation in enumerate(model.relations):
        scale = i + 2
        first = relation.places.weight.view(scale, 5, 5)
        of_tuples = []
        for places in combinations(range(4), scale):
            side_by_side = torch.cat([snippets[:, place] for place in places], dim=1)
            hidden = side_by_side @ torch.cat(list(first), dim=1).T + relation.bias
            of_tuples.append(relation.second(hidden))
        weight = model.head.weight[:, 5 * i : 5 * (i + 1)]
        logits = logits + torch.stack(of_tuples).mean(dim=0) @ weight.T
    torch.testing.assert_close(model(batch), logits)


def test_trn_draws_relations_while_training_alone() -> None:
    model, batch = new("trn", DIMS, 3, PLAIN).train(), make_batch({"resnet152": (8,)}, DIMS)
    scales = {len(relation.tuples[0]): (len(relation.tuples), relation.drawn) for relation in model.relations}
    assert scales == {2: (28, 3), 3: (56, 3), 4: (70, 3), 5: (56, 3), 6: (28, 3), 7: (8, 3), 8: (1, 1)}
    assert not torch.equal(model(batch), model(batch))
    assert torch.equal(model.eval()(batch), model(batch))


def test_movienet_averages_the_predictions_of_clips_of_three_frames() -> None:
    model, batch = new("movienet", DIMS, 4, PLAIN).eval(), make_batch({"resnet152": (24,)}, DIMS)
    frames = batch.features["resnet152"][0]
    probabilities = []
    for clip in range(8):
        frame = torch.cat([frames[3 * clip], frames[3 * clip + 1], frames[3 * clip + 2]])
        probabilities.append(model.head(model.hidden(frame)).sigmoid())
    torch.testing.assert_close(model(batch).sigmoid()[0], torch.stack(probabilities).mean(dim=0))


def test_predictions_that_are_sure_of_themselves_stay_finite() -> None:
    logits = torch.tensor([[[200.0], [210.0]], [[-300.0], [-300.0]], [[500.0], [-500.0]]], requires_grad=True)
    average = average_prediction(logits)
    torch.testing.assert_close(
        average.flatten(), torch.tensor([200.6931, -300.0, 0.0]), atol=0.01, rtol=0
    )  # 200: half of the doubt of one clip
    average.sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("tsn", {"segments": 0}, "segments is 0"),
        ("trn", {"segments": 1}, "segments is 1; 2 to 12"),
        ("trn", {"relations": 0}, "relations is 0"),
        ("movienet", {"frames": 0}, "frames is 0"),
        ("i3d-mean", {"dropout": 1}, "dropout is 1"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, Any], words: str) -> None:
    from extract.errors import UsageError

    with pytest.raises(UsageError, match=words):
        make_model(name, DIMS, 3, options)


def test_few_relations_are_computed_as_many_are() -> None:
    torch.manual_seed(0)
    relation = Relation(segments=6, scale=3, width=8, drawn=2)
    snippets = torch.randn(4, 6, 8)
    many = relation._first(snippets, relation.tuples)
    assert len(relation.tuples) == 20
    for number in (0, 7, 19):
        few = relation._first(snippets, relation.tuples[number : number + 1])
        torch.testing.assert_close(few[:, 0], many[:, number])

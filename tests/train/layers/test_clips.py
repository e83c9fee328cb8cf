"""Steps to shots against plain loops; NetVLAD against its definition."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tests.fixtures.batches import make_batch
from train.layers.clips import Clips, NetVlad, clip_means, clips_of
from train.loading.batch import Batch

DIMS = {"a": 2, "b": 3}
# Three videos: all there, no b, no a. Times of the steps; the shots of the first two.
TIMES = {"a": [[0.5, 1.0, 4.9, 9.0], [2.0, 2.5], []], "b": [[0.0, 0.2, 3.0, 5.0, 9.5], [], [1.0, 1.0, 7.0]]}
SHOTS = [[0.25, 1.0, 2.0, 5.0, 8.0], [2.0], []]


def batch(shots: list[list[float]] | None = SHOTS) -> Batch:
    made = make_batch({name: [len(times) for times in videos] for name, videos in TIMES.items()}, DIMS)
    timed = {**TIMES, **({"scenes": shots} if shots is not None else {})}
    steps = {name: max(1, *map(len, videos)) for name, videos in timed.items()}
    starts = {
        name: torch.tensor([[*times, *[0.0] * (steps[name] - len(times))] for times in videos]).double()
        for name, videos in timed.items()
    }
    lengths = {name: torch.tensor([len(times) for times in videos]) for name, videos in timed.items()}
    return replace(
        made,
        features={**made.features, "scenes": torch.zeros(3, steps["scenes"], 0)} if shots else made.features,
        padding={name: torch.arange(steps[name]) >= lengths[name][:, None] for name in timed},
        present={name: lengths[name] > 0 for name in timed},
        start_seconds=starts,
    )


def by_loops(batch: Batch) -> list[dict[tuple[str, int], int]]:
    """For each video the clip of each (expert, step)."""
    found = []
    for video in range(len(batch)):
        begins = None
        for name in ("scenes", "a", "b"):
            if begins is None and name in batch.padding and batch.present[name][video]:
                begins = batch.start_seconds[name][video][~batch.padding[name][video]].tolist()
        assert begins is not None
        shots = {}
        for name in DIMS:
            times = batch.start_seconds[name][video][~batch.padding[name][video]].tolist()
            for step, time in enumerate(times):
                begun = [i for i, begin in enumerate(begins) if begin <= time]
                shots[name, step] = max(begun, default=0)
        numbers = {shot: number for number, shot in enumerate(sorted(set(shots.values())))}
        found.append({key: numbers[shot] for key, shot in shots.items()})
    return found


def check(clips: Clips, batch: Batch) -> None:
    expected = by_loops(batch)
    for name in DIMS:
        where = (~batch.padding[name]).nonzero().tolist()
        assert [
            (int(clips.video[owner]), int(clips.place[owner])) for owner in clips.owners[name].tolist()
        ] == [(video, expected[video][name, step]) for video, step in where]
    assert clips.counts.tolist() == [max(shots.values()) + 1 for shots in expected]
    assert len(clips) == sum(clips.counts.tolist())


def test_steps_belong_to_the_shot_that_has_begun_last() -> None:
    clips = clips_of(batch(), ("a", "b"), timeline="scenes")
    check(clips, batch())
    assert clips.counts.tolist() == [5, 1, 2], "the third has no shots: cut at b, two steps at once"
    assert clips.owners["a"].tolist() == [0, 1, 2, 4, 5, 5]
    assert clips.owners["b"].tolist() == [0, 0, 2, 3, 4, 6, 6, 7]


def test_without_shots_the_first_expert_that_is_there_cuts() -> None:
    check(clips_of(batch(None), ("a", "b"), timeline="scenes"), batch(None))
    assert clips_of(batch(None), ("a", "b"), timeline="scenes").counts.tolist() == [4, 2, 2]
    assert clips_of(batch(None), ("b", "a"), timeline="scenes").counts.tolist() == [5, 2, 2]


def test_a_shot_without_steps_is_no_clip_and_padded_shots_are_none() -> None:
    late = [[*SHOTS[0][:2], 100.0, 200.0], [2.0], []]
    assert clips_of(batch(late), ("a", "b"), timeline="scenes").counts.tolist() == [2, 1, 2]


def test_some_clips_are_kept_and_steps_of_others_belong_to_none() -> None:
    clips = clips_of(batch(), ("a", "b"), timeline="scenes")
    kept = clips.keep(torch.tensor([0, 1, 1, 0, 0, 0, 1, 0], dtype=torch.bool))
    assert kept.owners["a"].tolist() == [-1, 0, 1, -1, -1, -1]
    assert kept.owners["b"].tolist() == [-1, -1, 1, -1, -1, 2, 2, -1]
    assert kept.video.tolist() == [0, 0, 2] and kept.place.tolist() == [1, 2, 0]
    assert kept.counts.tolist() == [5, 1, 2]


def test_means_of_clips() -> None:
    steps, owner = torch.tensor([[1.0, 2], [3, 4], [5, 9]]), torch.tensor([2, 0, 2])
    assert clip_means(steps, owner, 4).tolist() == [[3, 4], [0, 0], [3, 5.5], [0, 0]]


def vlad_by_loops(vlad: NetVlad, steps: Tensor) -> list[float]:
    norm, dim = vlad.norm, steps.shape[1]
    assert norm.running_mean is not None and norm.running_var is not None
    left = np.zeros((dim, len(norm.running_mean)))
    for step in steps.double().numpy():
        scores = step @ vlad.assign.detach().double().numpy()
        scores = (scores - norm.running_mean.numpy()) / np.sqrt(norm.running_var.numpy() + norm.eps)
        scores = scores * norm.weight.detach().numpy() + norm.bias.detach().numpy()
        shares = np.exp(scores) / np.exp(scores).sum()
        for k, share in enumerate(shares):
            left[:, k] += share * (step - vlad.centres[:, k].detach().numpy())
    left /= np.linalg.norm(left, axis=0)
    return [float(value) for value in (left / np.linalg.norm(left)).reshape(-1)]


def test_netvlad_is_its_definition() -> None:
    torch.manual_seed(0)
    vlad = NetVlad(3, 4)
    vlad.train()(torch.randn(50, 3), torch.zeros(50, dtype=torch.long), 1)  # statistics to normalise by
    steps, owner = torch.randn(6, 3), torch.tensor([1, 1, 0, 1, 3, 0])
    with torch.no_grad():
        found = vlad.eval()(steps, owner, 4)
    assert found.shape == (4, vlad.width) and not found[2].any()
    for clip in (0, 1, 3):
        np.testing.assert_allclose(found[clip], vlad_by_loops(vlad, steps[owner == clip]), atol=1e-5)
    assert math.isclose(float(found[1].norm()), 1, abs_tol=1e-6)

"""Collaborative gating against the reference and against loops; what is not there has no influence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from train.layers.clips import NetVlad
from train.layers.gating import CollaborativeGating, GatedEmbedding, RowNorm


def reference_state(vectors: Any, name: str) -> dict[str, Tensor]:
    table = vectors.rule.load_table(vectors.folder / "shapes" / f"{name}.json")
    return {key: torch.from_numpy(value) for key, value in vectors.rule.tensors(table, 11)}


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def published_gating(state: dict[str, Tensor], **options: Any) -> CollaborativeGating:
    """Our module with the weights of the public one, which puts g's two inputs side by side."""
    width = len(state["ce.g_reason_1.bias"])
    gating = CollaborativeGating(5, width, **options).eval()
    first = state["ce.g_reason_1.weight"]
    renamed = {
        "mine.weight": first[:, :width],
        "mine.bias": state["ce.g_reason_1.bias"],
        "other.weight": first[:, width:],
        **{f"g.{key}": value for key, value in part(state, "ce.g_reason_shared.").items()},
        **{f"h.{key}": value for key, value in part(state, "ce.h_reason.").items()},
    }
    names = {"fc": "look", "batch_norm": "norm_attention", "batch_norm2": "norm_look"}
    for expert in range(5):
        for key, value in part(state, f"ce.video_GU.{expert}.cg.").items():
            layer, _, leaf = key.partition(".")
            renamed[f"units.{expert}.{names[layer]}.{leaf}"] = value
    gating.load_state_dict(renamed)
    return gating


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "ce_pairwise",
            {"g_layers": 3, "h_layers": 0, "activation": "mish", "batch_norm": True, "include_self": True},
        ),
        ("ce_pairwise_noself", {"g_layers": 2, "h_layers": 1}),
    ],
)
@pytest.mark.slow
def test_it_is_the_published_one_with_all_experts_gated_at_once(
    vectors: Any, name: str, options: dict[str, Any]
) -> None:
    stored, state = vectors.reference(name), reference_state(vectors, name)
    videos, steps = stored["batch_time"].tolist()
    experts, present = stored["experts"].tolist(), torch.from_numpy(stored["mask"]) > 0
    reduced = []
    for i, expert in enumerate(experts):
        weight, bias = (state[f"ce.video_dim_reduce.{i}.fc.{leaf}"] for leaf in ("weight", "bias"))
        seed, there = int(stored["input_seed"]) + i, present[:, i]
        if expert == "audio":
            windows = torch.from_numpy(vectors.inputs.normal((videos, steps, 128), seed))
            vlad = NetVlad(128, 16).eval()
            pooling = part(state, "pooling.audio.")
            norm = {f"norm.{k}": v for k, v in part(pooling, "batch_norm.").items()}
            vlad.load_state_dict({"assign": pooling["clusters"], "centres": pooling["clusters2"][0], **norm})
            owner = torch.arange(videos).repeat_interleave(steps)
            values = vlad(windows.flatten(0, 1), owner, videos)
            mine, theirs = values[there, ::16].detach(), stored["vlad_audio"][there]
            vectors.assert_close(name, "vlad_audio", mine, theirs)
        else:
            values = torch.from_numpy(vectors.inputs.normal((videos, weight.shape[1]), seed))
        reduced.append(functional.normalize(functional.linear(values, weight, bias), dim=1))
        vectors.assert_close(
            name, f"reduced_{expert}", reduced[-1][there].detach(), stored[f"reduced_{expert}"][there]
        )
    with torch.no_grad():
        gated = published_gating(state, **options)(torch.stack(reduced, 1), present)
        whole = functional.linear(
            gated.flatten(1), state["ce.classifier.weight"], state["ce.classifier.bias"]
        )
    for i, expert in enumerate(experts):
        there = present[:, i]
        vectors.assert_close(name, f"parallel_{expert}", gated[there, i], stored[f"parallel_{expert}"][there])
        assert not gated[~there, i].any()
    full = present.all(dim=1)  # the reference has values where an expert is missing, ours are zero
    assert full.any() and not full.all()
    vectors.assert_close(name, "parallel_logits", whole[full], stored["parallel_logits"][full])


def by_loops(gating: CollaborativeGating, vectors: Tensor, present: Tensor) -> Tensor:
    out = torch.zeros_like(vectors)
    for row in range(len(vectors)):
        for i in range(vectors.shape[1]):
            if not present[row, i]:
                continue
            others = [j for j in range(vectors.shape[1]) if present[row, j] and j != i]
            opinions = [
                gating.g(gating.mine(vectors[row, i]) + gating.other(vectors[row, j])) for j in others
            ]
            attention = gating.h(torch.stack(opinions).mean(0) if opinions else torch.zeros(vectors.shape[2]))
            unit: Any = gating.units[i]
            gate = torch.sigmoid(
                unit.norm_attention(attention[None]) + unit.norm_look(unit.look(vectors[row, i][None]))
            )
            kept = vectors[row, i] * gate[0]
            out[row, i] = kept / kept.norm()
    return out


def test_it_is_the_formula() -> None:
    torch.manual_seed(0)
    gating = CollaborativeGating(3, 4).eval()
    vectors = torch.randn(5, 3, 4)
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 0], [1, 1, 0]], dtype=torch.bool)
    with torch.no_grad():
        torch.testing.assert_close(gating(vectors, present), by_loops(gating, vectors, present))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_absent_experts_are_in_no_statistics_and_get_no_gradient(batch_norm: bool) -> None:
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0]], dtype=torch.bool)

    def trained(junk: float) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        torch.manual_seed(0)
        gating = CollaborativeGating(3, 4, batch_norm=batch_norm).train()
        vectors = torch.randn(4, 3, 4).masked_fill(~present.unsqueeze(2), junk).requires_grad_()
        out = gating(vectors, present)
        out.sum().backward()
        assert vectors.grad is not None
        return out.detach(), vectors.grad, gating.state_dict()

    clean, dirty = trained(0.0), trained(1e6)
    assert torch.equal(clean[0], dirty[0]) and torch.equal(clean[1], dirty[1])
    assert not clean[1][~present].any() and clean[1][present].abs().amax(dim=1).min() > 0
    assert all(torch.equal(value, dirty[2][key]) for key, value in clean[2].items())


@pytest.mark.parametrize("rows", [0, 1])
def test_rows_too_few_for_statistics_are_normalised_by_the_running_ones(rows: int) -> None:
    norm = RowNorm(3).train()
    norm(torch.randn(9, 3) * 4 + 2)
    values, before = torch.randn(rows, 3), norm.running_mean
    assert before is not None
    kept = before.clone()
    assert torch.equal(norm(values), norm.eval()(values)) and torch.equal(before, kept)


def test_a_gated_embedding_is_of_unit_length() -> None:
    unit = GatedEmbedding(6, 4)
    rows = torch.randn(3, 6)
    projected = unit.project(rows)
    kept = (projected * torch.sigmoid(unit.gate(projected))).detach().numpy()
    mine = unit(rows).detach().numpy()
    np.testing.assert_allclose(mine, kept / np.linalg.norm(kept, axis=1, keepdims=True), atol=1e-6)

"""Convolution through time against plain loops, its sizes, its heads, and averaged predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from extract.errors import UsageError
from train.layers.ctt import ConvolutionThroughTime, CttOptions, Maxout, averaged, make_head
from train.loading.steps import Steps
from train.registry import make_model, model_options
from train.settings import choose

GENRES = 9  # of LMTD-9


@pytest.mark.parametrize(("steps", "dim"), [(240, 2048), (130, 513), (3, 5)])
def test_n_filters_of_span_f_make_n_x_1_x_l_minus_f_plus_1_values(steps: int, dim: int) -> None:
    module = ConvolutionThroughTime(dim, CttOptions())
    with torch.no_grad():
        assert module.maps(torch.zeros(1, steps, dim)).shape == (1, 256, steps - 3 + 1)


@pytest.mark.parametrize("span", [1, 3, 4])
def test_it_is_the_largest_value_of_each_filter_over_time(span: int) -> None:
    torch.manual_seed(0)
    module = ConvolutionThroughTime(5, CttOptions(filters=7, span=span))
    features = torch.randn(3, 6, 5)
    lengths = (6, 4, 2)
    padding = torch.arange(6) >= torch.tensor(lengths)[:, None]
    with torch.no_grad():
        found = module(features, padding).numpy()
    weight, bias = (p.detach().numpy() for p in module.convolution.parameters())  # (filters, dim, span)
    for video, length in enumerate(lengths):
        frames = np.zeros((max(length, span), 5))
        frames[:length] = features[video, :length]
        for n in range(7):
            values = [
                bias[n] + sum(weight[n, :, k] @ frames[start + k] for k in range(span))
                for start in range(len(frames) - span + 1)
            ]
            assert found[video, n] == pytest.approx(max(0.0, *values), abs=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_values_of_a_filter_may_be_normalised_by_those_of_the_whole_batch(training: bool) -> None:
    """The places that a short video does not reach have no part in the mean and the variance."""
    torch.manual_seed(0)
    module = ConvolutionThroughTime(5, CttOptions(filters=7, batch_norm=True)).train(training)
    assert module.norm is not None
    torch.nn.init.normal_(module.norm.bias)
    features, lengths = torch.randn(2, 6, 5), (6, 4)
    with torch.no_grad():
        module.norm.running_mean.normal_()  # type: ignore[union-attr]
        maps = [module.maps(features[i : i + 1, :length])[0] for i, length in enumerate(lengths)]
        every = torch.cat(maps, dim=1)
        mean, spread = every.mean(dim=1), every.var(dim=1, unbiased=False)
        if not training:
            mean, spread = module.norm.running_mean.clone(), module.norm.running_var.clone()  # type: ignore
        found = module(features, torch.arange(6) >= torch.tensor(lengths)[:, None])
    for video, own in enumerate(maps):
        scaled = (own - mean[:, None]) / (spread[:, None] + 1e-5).sqrt() + module.norm.bias[:, None]
        torch.testing.assert_close(found[video], scaled.amax(dim=1).relu())


def test_the_preset_of_the_public_code_is_its_example() -> None:
    chosen = choose(preset="wehrmann2017-code/ctt")
    training = chosen.training
    assert (training.optimizer, training.learning_rate, training.weight_decay) == ("adam", 1e-3, 0)
    assert (training.batch_size, training.epochs, training.sum_genres) == (32, 10, False)
    assert parameters("ctt", "wehrmann2017-code") == 384 * (3 * 2048 + 1) + 2 * 384 + GENRES * 385
    assert chosen.model_options["padded"] == chosen.steps["resnet152"]["cap"] == 240


def parameters(preset: str, folder: str = "wehrmann2017") -> int:
    """Without the vector that stands for a video without frames, which the paper does not have."""
    chosen = choose(preset=f"{folder}/{preset}")
    model: Any = make_model(chosen.model, {"resnet152": 2048}, GENRES, chosen.model_options)
    return sum(int(p.numel()) for p in model.parameters()) - int(model.absent.numel())


def test_the_networks_have_the_parameters_that_the_paper_states() -> None:
    """Section 4.2: 1.8 million with Maxout, 2.3 million of the LSTM."""
    module, layer, last = 256 * (3 * 2048 + 1), 256 * 257, GENRES * 257
    assert parameters("ctt-a") == module + last == 1_575_433
    assert parameters("ctt-b") == module + layer + last == 1_641_225
    assert parameters("ctt-c") == module + layer + 2 * layer + last == 1_772_809
    assert round(parameters("ctt-c") / 1e6, 1) == 1.8
    assert parameters("lstm") == 4 * 256 * (2048 + 256 + 2) + last == 2_363_657
    assert int(parameters("lstm") / 1e5) == 23


@pytest.mark.parametrize("preset", ["ctt-a", "ctt-b", "ctt-c", "ctt-s", "ctt-tn"])
def test_training_is_that_of_section_4_4(preset: str) -> None:
    training = choose(preset=f"wehrmann2017/{preset}").training
    assert (training.optimizer, training.learning_rate, training.weight_decay) == ("adam", 1e-3, 1e-4)
    assert (training.batch_size, training.epochs, training.patience) == (64, 200, 20)
    assert (training.monitor, training.sum_genres, training.balance) == ("micro", True, False)


def test_a_trailers_sound_is_read_in_11_parts_and_tested_by_10_samples() -> None:
    chosen = choose(preset="wehrmann2017/ctt-s")
    assert (chosen.model_options["parts"], chosen.model_options["samples"]) == (11, 10)
    steps = Steps(**chosen.steps["spectrogram"])
    assert (steps.cap, steps.how, steps.at_test.cap) == (11, "stratified", 1000)


def test_a_maxout_unit_is_the_largest_of_its_pieces() -> None:
    torch.manual_seed(0)
    layer = Maxout(4, 3, 2)
    vectors = torch.randn(5, 2, 4)
    with torch.no_grad():
        found, pieces = layer(vectors), layer.linear(vectors)
    assert found.shape == (5, 2, 3)
    for unit in range(3):
        expected = torch.maximum(pieces[..., 2 * unit], pieces[..., 2 * unit + 1])
        torch.testing.assert_close(found[..., unit], expected)


@pytest.mark.parametrize(
    ("head", "dense", "layers"), [("A", True, 1), ("B", True, 2), ("C", False, 2), ("C", True, 3)]
)
def test_heads_have_so_many_layers(head: Any, dense: bool, layers: int) -> None:
    made = make_head(CttOptions(filters=6, hidden=4, head=head, dense=dense), 3)
    assert sum(isinstance(module, torch.nn.Linear) for module in made.modules()) == layers
    assert made(torch.zeros(2, 5, 6)).shape == (2, 5, 3)


def test_averaged_logits_are_those_of_the_mean_probability() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(4, 3, 5, generator=generator, dtype=torch.float64)
    weights = torch.tensor([0.2, 0.0, 0.8])
    p = 0.2 * logits[:, 0].sigmoid() + 0.8 * logits[:, 2].sigmoid()
    torch.testing.assert_close(averaged(logits, weights).double(), (p / (1 - p)).log(), atol=1e-5, rtol=1e-5)


def test_averages_of_certain_predictions_are_finite_and_have_gradients() -> None:
    logits = torch.tensor([[[200.0], [-200.0], [0.0]]], requires_grad=True)
    found = averaged(logits, torch.tensor([0.5, 0.5, 0.0]))
    assert found.item() == pytest.approx(0, abs=1e-6)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("ctt", {"filters": 0}, "filters is 0; at least 1"),
        ("ctt", {"head": "D"}, "model.head is 'D'; allowed: A, B, C"),
        ("ctt", {"crops": 0}, "crops is 0; at least 1"),
        ("ctt", {"dropout": 1}, "dropout is 1"),
        ("ctt", {"padded": -1}, "padded is -1; 0 or more"),
        ("ctt-s", {"moments": 0}, "moments is 0"),
        ("ctt-s", {"parts": 0}, "parts is 0"),
        ("ctt-s", {"samples": 0}, "samples is 0"),
        ("ctt-tn", {"share": 1.5}, "share is 1.5; one from 0 to 1"),
        ("ctt-tn", {"crops": 0}, "crops is 0"),
        ("ctt-tn", {"moments": -1}, "moments is -1"),
        ("lstm", {"units": 0}, "units is 0"),
        ("svm", {"kernel": ""}, "kernel is empty; name rbf, linear or both"),
        ("svm", {"c": "0,1"}, "numbers above 0"),
        ("svm", {"gamma": ""}, "numbers above 0"),
        ("svm", {"folds": 1}, "at least 2"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        model_options(name, options)

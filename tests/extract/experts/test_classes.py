"""The classes that networks name themselves: which, how likely, under which names and fingerprints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from extract.errors import UsageError
from extract.expert import Resources
from extract.experts._classes import MOST, WithClasses, imagenet, labels, likelihoods
from extract.experts.panns import Panns, PannsOptions
from extract.experts.resnet152 import Resnet152, Resnet152Options
from extract.experts.vgg16 import DEPTHS, Vgg16, Vgg16Options
from extract.fingerprint import fingerprint
from extract.nets.caffe_resnet152 import CaffeResNet152
from extract.registry import expert_class, expert_names, make_expert
from extract.types import Item

NAMED = [name for name in expert_names() if issubclass(expert_class(name), WithClasses)]


def digest(name: str, **options: Any) -> str:
    expert = make_expert(name, options)
    return fingerprint(
        expert, weights={}, upstream={}, precision="float32", dtype="float16", random_seed=None
    )[0]


def test_the_experts_that_name_classes() -> None:
    assert NAMED == ["ast", "panns", "places", "resnet152", "senet", "vgg16"]


@pytest.mark.parametrize("name", NAMED)
def test_without_classes_nothing_changes_and_each_number_is_another_fingerprint(name: str) -> None:
    plain = make_expert(name)
    assert "classes" not in plain.settings()
    assert [column.name for column in plain.tables()[name].columns if "class" in column.name] == []
    assert digest(name, classes=0) == digest(name)
    assert len({digest(name), digest(name, classes=5), digest(name, classes=6)}) == 3
    classes, scores = make_expert(name, {"classes": "5"}).tables()[name].columns[-2:]
    assert (classes.name, classes.type) == ("classes", "list<string>")
    assert (scores.name, scores.type) == ("class_scores", "list<float32>") and "0 to 1" in scores.meaning
    for wrong in (-1, MOST + 1):
        with pytest.raises(UsageError, match=f"classes is {wrong}; allowed: 0 to {MOST}"):
            make_expert(name, {"classes": wrong})


def test_the_lists_are_whole_and_in_the_published_order() -> None:
    """Places of both lists, as their publishers number them."""
    sounds, places = labels("audioset"), labels("places365")
    assert (len(sounds), len(set(sounds))) == (527, 527) and (len(places), len(set(places))) == (365, 365)
    numbered = {0: "Speech", 1: "Male speech, man speaking", 137: "Music", 288: "Water", 396: "Siren"}
    numbered |= {426: "Explosion", 500: "Silence", 526: "Field recording"}
    assert {at: sounds[at] for at in numbered} == numbered
    numbered = {
        0: "airfield",
        8: "apartment_building/outdoor",
        203: "kitchen",
        355: "waterfall",
        364: "zen_garden",
    }
    assert {at: places[at] for at in numbered} == numbered
    assert (imagenet()[0], imagenet()[999], len(imagenet())) == ("tench", "toilet tissue", 1000)
    for trained, first, last in (
        ("imagenet_v2", "tench", "toilet tissue"),
        ("hybrid1365", "tench", "zen_garden"),
    ):
        names = Resnet152(Resnet152Options(weights=trained)).class_names()  # type: ignore[arg-type]
        assert (names[0], names[-1]) == (first, last)
    assert len(names) == 1365 and names[1000] == "airfield"


def test_scores_are_torchs() -> None:
    outputs = np.array([3.0, -2.0, 0.5, 800.0, -800.0], np.float32)
    tensor = torch.from_numpy(outputs).double()
    np.testing.assert_allclose(likelihoods(outputs, exclusive=True), tensor.softmax(0), atol=1e-15)
    np.testing.assert_allclose(likelihoods(outputs, exclusive=False), tensor.sigmoid(), atol=1e-15)


@pytest.mark.parametrize("layer", DEPTHS)
def test_the_classes_of_vgg16_are_the_same_whichever_layer_is_stored(layer: Any) -> None:
    torch.manual_seed(0)
    network: Any = nn.Module()
    parts = (
        nn.Linear(8, 7),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(7, 6),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(6, 5),
    )
    network.classifier = nn.Sequential(*parts).eval()
    seen = torch.randn(3, 8)
    with torch.no_grad():
        logits, vector = network.classifier(seen), network.classifier[: DEPTHS[layer]](seen)
        changed: Any = Vgg16(Vgg16Options(layer=layer, classes=1)).feature(network)
        found = changed.classifier.eval()(seen)
    np.testing.assert_array_equal(found, torch.cat([vector, logits], dim=1))


def test_the_caffe_networks_name_places_too() -> None:
    network = CaffeResNet152(classes=365, blocks=(1, 1, 1, 1)).eval()
    expert = Resnet152(Resnet152Options(weights="places365", classes=2))
    pictures = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        found = expert.feature(network)(pictures)
        expected = torch.cat([network(pictures), network.logits(pictures)], dim=1)
    np.testing.assert_array_equal(found, expected)


def test_vectors_have_the_same_bits_beside_their_classes() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 32_000).astype(np.float32)
    item = Item(0.0, 1.0, {"samples": samples})
    model = "cnn14_emb128"
    ((plain,),) = Panns(PannsOptions(model=model)).load(Resources(random_seed=0))([item])  # type: ignore[arg-type]
    options = PannsOptions(model=model, classes=3)  # type: ignore[arg-type]
    ((named,),) = Panns(options).load(Resources(random_seed=0))([item])
    np.testing.assert_array_equal(named["embedding"], plain["embedding"])
    assert (
        len(set(named["classes"])) == 3
        and sorted(named["class_scores"], reverse=True) == named["class_scores"]
    )

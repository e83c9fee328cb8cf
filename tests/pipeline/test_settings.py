"""Which experts a preset and a list of names give together."""

from __future__ import annotations

import pytest

from extract.errors import UsageError
from extract.registry import expert_names
from pipeline.settings import choose


def chosen(preset: str | None, *experts: str) -> tuple[str, ...]:
    return choose(preset=preset, experts=experts, layers=[])[0]


def test_plus_adds_to_the_preset() -> None:
    lebaron, options = choose(preset="lebaron2021", experts=["+thumbnails"], layers=[])
    assert lebaron == ("vgg16", "thumbnails")
    assert options == {"vgg16": {"frames": "even"}}
    assert chosen("offline", "+ocr", "+flow").count("ocr") == 1
    everything = [name for name in expert_names() if name != "tags"]  # which needs words of one's own
    assert sorted(chosen(None, "+clip")) == everything, "without a preset, the default one"
    assert chosen("offline", "ocr") == ("ocr",)


def test_plus_stands_before_every_name_or_none() -> None:
    with pytest.raises(UsageError, match=r"--experts clip,[+]thumbnails: write [+] before every name"):
        chosen("lebaron2021", "clip", "+thumbnails")
    with pytest.raises(UsageError, match="did you mean 'thumbnails'"):
        chosen("lebaron2021", "+thumbnail")

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from extract.expert import Embedding, Expert, FrameSpec, Lane, Streams, TableSpec, Tolerance
from extract.fingerprint import canonical_json, digest, fingerprint
from extract.registry import expert_names, make_expert
from extract.weights.files import WeightFile

GIVEN: dict[str, Any] = {
    "weights": {"model": "ab" * 32},
    "upstream": {"scenes": "0123456789ab"},
    "precision": "float32",
    "dtype": "float16",
    "random_seed": None,
}


@dataclass(frozen=True)
class _Options:
    hop_seconds: float = 1.5
    variant: str | None = None


class Network(Expert):
    summary = "a network"
    tolerance: ClassVar[Tolerance | None] = Tolerance(bfloat16=0.01, float16=0.001)
    Options = _Options
    upstream = ("scenes",)
    spec = TableSpec(embedding=Embedding((8,)))

    def tables(self) -> Mapping[str, TableSpec]:
        return {"network": self.spec}

    def streams(self) -> Streams:
        return Streams(keyframes=True)

    def weights(self) -> tuple[WeightFile, ...]:
        return (WeightFile("model", "model.pth", None, "https://example.org/model.pth", None, "MIT"),)


class Exact(Network):
    summary = "a network that is always computed in float32"
    tolerance = None


class Measured(Network):
    summary = "no network"
    lane: ClassVar[Lane] = "none"
    spec = TableSpec()

    def streams(self) -> Streams:
        return Streams(frames=FrameSpec(48))

    def weights(self) -> tuple[WeightFile, ...]:
        return ()


def of(expert: Expert, **changes: Any) -> str:
    return fingerprint(expert, **{**GIVEN, **changes})[0]


def test_it_is_12_hex_digits_of_what_is_said_in_the_clear() -> None:
    name, described = fingerprint(Network(), **GIVEN)
    assert len(name) == 12 and int(name, 16) >= 0
    assert digest(canonical_json(described)) == name
    assert described["settings"] == {"version": 1, "hop_seconds": 1.5, "variant": None}


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": {"model": "cd" * 32}},
        {"upstream": {"scenes": "ffffffffffff"}},
        {"precision": "float16"},
        {"dtype": "float32"},
        {"random_seed": 0},
    ],
)
def test_it_differs_where_the_rows_can(changes: dict[str, Any]) -> None:
    assert of(Network(), **changes) != of(Network())


def test_it_differs_with_options_version_and_table() -> None:
    class Newer(Network):
        version = 2

    class Wider(Network):
        spec = TableSpec(embedding=Embedding((16,)))

    names = {of(e) for e in (Network(), Network(_Options(3.0)), Newer(), Wider(), Measured())}
    assert len(names) == 5
    assert of(Network(_Options(1.5))) == of(Network())


def test_it_is_the_same_where_the_rows_are() -> None:
    assert of(Measured(), precision="float16") == of(Measured())
    assert of(Exact(), precision="float16") == of(Exact()) == of(Network())
    assert of(Measured(), dtype="float32") == of(Measured())
    assert of(Measured(), random_seed=3) == of(Measured())
    assert of(Network(), random_seed=3, weights={}) == of(Network(), random_seed=3)
    assert of(Network(), random_seed=3) != of(Network(), random_seed=4)


def test_float32_descriptors_do_not_depend_on_dtype() -> None:
    class Descriptors(Network):
        spec = TableSpec(embedding=replace(Embedding((8,)), float32=True))

    assert of(Descriptors(), dtype="float32") == of(Descriptors(), dtype="float16")


def test_it_does_not_depend_on_the_process() -> None:
    """Hash randomisation must not reach it: two processes must agree on what is done."""
    code = (
        "from extract.fingerprint import canonical_json, digest;"
        "print(digest(canonical_json({'b': {'x', 'y'} and 1.5, 'a': [None, 'é']})))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert seen == {digest('{"a":[null,"\\u00e9"],"b":1.5}')}


def test_settings_must_be_json() -> None:
    class Odd(Network):
        def settings(self) -> dict[str, Any]:
            return {"names": {"a", "b"}}

    with pytest.raises(TypeError):
        of(Odd())


@pytest.mark.parametrize("name", expert_names())
def test_another_decoder_changes_all_that_is_computed_from_the_file(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shots among them, which come of frames that the detector is given and the tap is not."""
    expert = make_expert(name)
    before = of(expert)
    monkeypatch.setattr("extract.fingerprint.MEDIA_VERSION", 1000)
    assert (of(expert) != before) == expert.reads_media


class Heard(Network):
    summary = "a network that hears"
    heard = Streams(audio_rate=16_000)

    def streams(self) -> Streams:
        return self.heard


def test_pictures_of_a_gpu_are_others_and_its_sound_is_not() -> None:
    name, said = fingerprint(Network(), **GIVEN, decode="cuda")
    assert said["decode"] == "cuda" and name != of(Network()) == of(Network(), decode="cpu")
    assert of(Heard(), decode="cuda") == of(Heard())
    assert "decode" not in fingerprint(Network(), **GIVEN)[1]  # stores of before have no such key


class Downmixed(Heard):
    heard = Streams(audio_rate=16_000, audio_downmix="ffmpeg")


def test_it_differs_with_the_downmix() -> None:
    mean, said = fingerprint(Heard(), **GIVEN)
    other, other_said = fingerprint(Downmixed(), **GIVEN)
    assert mean != other and (said["downmix"], other_said["downmix"]) == ("mean", "ffmpeg")
    assert fingerprint(Network(), **GIVEN)[1]["downmix"] is None

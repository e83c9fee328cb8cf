"""Presets by name, ``--set``, and options in layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from extract.errors import UsageError
from extract.presets import list_presets, merged, parse_set, read_preset


def test_presets_are_files_also_in_folders(tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "model.toml").write_text("summary = 'x'")
    (tmp_path / "all.toml").write_text("")
    assert list_presets(tmp_path) == ["all", "paper/model"]
    assert read_preset(tmp_path, "paper/model") == {"summary": "x"}
    with pytest.raises(UsageError, match=r"no preset 'paper/modl'; .* did you mean 'paper/model'\?"):
        read_preset(tmp_path, "paper/modl")


def test_assignments_by_section_the_last_one_wins() -> None:
    given = ["a.b=1", " a.c = x=y", "d.e.f=2", "a.b=3"]
    assert parse_set(given, "a.b=1") == {"a": {"b": "3", "c": "x=y"}, "d.e": {"f": "2"}}


@pytest.mark.parametrize("text", ["a", "a=1", ".b=1", "a.=1", "a.b", " . =1", ""])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"NAME\.OPTION=VALUE, as in a\.b=1"):
        parse_set([text], "a.b=1")


def test_later_layers_win_and_none_is_changed() -> None:
    below, above = {"a": {"x": 1, "y": 1}}, {"a": {"x": 2}, "b": {"z": 3}}
    assert merged([below, above]) == {"a": {"x": 2, "y": 1}, "b": {"z": 3}}
    assert below == {"a": {"x": 1, "y": 1}} and above["a"] == {"x": 2}

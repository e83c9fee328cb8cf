"""The command `marquee`: everything under one name, loaded when it is used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from extract.errors import DISTRIBUTION, again, command, did_you_mean, not_allowed, to_install
from pipeline.cli import marquee
from pipeline.settings import preset_names
from tests.fixtures.fresh_process import loaded_after


def told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["marquee", *arguments])
    with pytest.raises(SystemExit) as left:
        marquee.main()
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out + said.err


@pytest.mark.parametrize("name", marquee.COMMANDS)
def test_a_listed_command_is_there_and_says_the_same_of_itself(name: str) -> None:
    found = marquee.load(name)
    assert found.callback is not None or hasattr(found, "commands")
    assert " ".join((found.help or "").split()) == marquee.COMMANDS[name].summary


def test_help_loads_no_command_and_lists_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, text = told(capsys, monkeypatch)
    assert status == 0 and all(f" {name} " in text for name in marquee.COMMANDS)
    assert "<bool>" not in text
    loaded = loaded_after("import pipeline.cli.marquee as c; c.app(['--help'], standalone_mode=False)")
    commands = {entry.module for entry in marquee.COMMANDS.values()}
    assert not {"numpy", "pyarrow", "torch", *commands} & set(loaded)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("statsu", "Did you mean 'status'?; marquee --help"),
        ("extract statsu", "or folder 'statsu'; did you mean 'status'?; marquee extract --help"),
        ("extract pipelin", "or folder 'pipelin'; did you mean 'pipeline'?"),
        ("extract docs/a.mp4 docs/b.mp4 --preset offline", "one video can be given, or the folder"),
        ("status nowhere", "there is no such folder; give a folder that `marquee extract --out` wrote"),
        ("status README.md", "it is a file: give a folder that `marquee extract --out` wrote"),
        ("extract . --preset Ofline", "did you mean 'offline'?"),
        ("train predct", "Did you mean 'predict'?; marquee train --help"),
        ("status", "Missing argument 'out'; marquee status --help"),
    ],
)
def test_what_was_meant_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    status, text = told(capsys, monkeypatch, *line.split())
    assert status == 2 and text.count("\n") == 1
    assert said in text


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("marquee st", ["status"]),
        ("marquee train eval", ["evaluate"]),
        ("marquee extract --preset off", ["offline"]),
        ("marquee extract --preset ", preset_names()),
    ],
)
def test_a_shell_completes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str, answer: list[str]
) -> None:
    monkeypatch.setenv("_MARQUEE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    _, text = told(capsys, monkeypatch)
    assert text.split() == answer


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("extract --help", "  --random-weights SEED"),
        ("train", "  evaluate  Evaluate a run's predictions; metrics, tables"),
        ("train import movies --help", "  --sentence-encoder <path>"),
    ],
)
def test_help_on_a_narrow_terminal_cuts_no_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str, whole: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # taken for a terminal
    monkeypatch.setenv("COLUMNS", "60")
    status, text = told(capsys, monkeypatch, *line.split())
    assert status == 0 and whole in text and "…" not in text


def test_messages_name_commands_as_they_were_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/extract/__main__.py"])
    assert command("status", "my store") == "python -m extract status 'my store'"
    assert command("train", "models") == "python -m train models"
    monkeypatch.setattr(sys, "argv", ["marquee"])
    assert command("status", "my store") == "marquee status 'my store'"
    assert command("extract", "--out", "x") == "marquee extract --out x"


def test_what_the_shell_would_not_find_is_named_by_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "env" / "bin" / "marquee"
    script.parent.mkdir(parents=True)
    script.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert command("status", "store") == "env/bin/marquee status store"
    monkeypatch.chdir(script.parent)
    assert command("status", "store") == f"{script} status store"
    script.with_name("pip").touch(0o755)
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert command("train", "models") == f"{script.with_name('python')} -m train models"
    assert to_install("s3") == f"{script.with_name('pip')} install '{DISTRIBUTION}[s3]'"
    monkeypatch.setenv("PATH", str(script.parent))  # as in an active environment
    script.with_name("python").touch(0o755)
    assert command("train", "models") == "python -m train models"
    monkeypatch.setattr(sys, "argv", ["env/bin/marquee"])
    monkeypatch.chdir(tmp_path)
    assert command("status", "store") == "marquee status store"


def test_in_a_container_commands_are_what_is_typed_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_LAUNCHER", "docker compose run --rm")
    monkeypatch.setattr(sys, "argv", ["/somewhere/extract/__main__.py", "--out", "my store"])
    assert command("status", "my store") == "docker compose run --rm extract status 'my store'"
    assert command("train", "models") == "docker compose run --rm train models"
    assert again("--retry-failed") == "docker compose run --rm extract --out 'my store' --retry-failed"
    monkeypatch.setattr(sys, "argv", ["marquee"])
    assert command("status", "store") == "marquee status store", "in a shell of the container"


def test_a_name_that_looks_like_a_flag_is_set_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["marquee", "search", "features", "--", "-leading-dash"])
    assert command("remove", "features", "-leading-dash") == "marquee remove features -- -leading-dash"
    assert command("extract", "--out", "x", "--retry-failed") == "marquee extract --out x --retry-failed"
    assert again("--page", "a.html") == "marquee search features --page a.html -- -leading-dash"


def test_what_messages_have_in_common() -> None:
    assert to_install("a", "b") == f"pip install '{DISTRIBUTION}[a,b]'"
    assert did_you_mean("CLIP", ["clip", "beats"]) == "; did you mean 'clip'?"
    assert str(not_allowed("--resize", "Crop", ["squash", "crop"])) == (
        "--resize is 'Crop'; allowed: squash, crop; did you mean 'crop'?"
    )

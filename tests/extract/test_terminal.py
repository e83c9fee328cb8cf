"""What a command line sets up before anything is computed."""

from __future__ import annotations

import os

import pytest

from extract.terminal import command_line, run_app


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    monkeypatch.setattr("sys.argv", ["program", "look"])
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    seen: list[str | None] = []
    app = command_line()
    app.callback()(lambda: None)
    app.command("look")(lambda: seen.append(os.environ.get("OMP_WAIT_POLICY")))
    with pytest.raises(SystemExit):
        run_app(app, "program", kept="nothing")
    assert seen == [expected]

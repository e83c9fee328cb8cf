from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from train.cli.label_flags import LabelFlags, flattened


@pytest.mark.parametrize(
    ("arguments", "labels", "split"),
    [
        ([], {}, {}),
        (["--id-column", "film", "--least-videos", "3"], {"id": "film", "least_videos": 3}, {}),
        (["--split", "random", "--allow-empty-genres"], {}, {"by": "random", "allow_empty_genres": True}),
        (["--split", "column:part"], {}, {"by": "column", "name": "part"}),
        (["--split", "a/parts.json"], {}, {"by": "file", "name": "a/parts.json"}),
    ],
)
def test_flags_become_options(arguments: list[str], labels: dict[str, Any], split: dict[str, Any]) -> None:
    got: list[dict[str, dict[str, Any]]] = []
    app = typer.Typer()

    @app.command()
    @flattened
    def command(before: int = 0, flags: LabelFlags = LabelFlags(), after: int = 0) -> None:  # noqa: B008
        assert (before, after) == (1, 2)
        got.append(flags.options())

    result = CliRunner().invoke(app, ["--before", "1", *arguments, "--after", "2"])
    assert result.exit_code == 0, result.output
    given = {
        section: {name: value for name, value in values.items() if value is not None}
        for section, values in got[0].items()
    }
    assert given == {"labels": labels, "split": split}

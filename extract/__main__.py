"""``python -m extract``: the front door, which hands over to the pipeline."""

from __future__ import annotations

from pipeline.cli.commands import main

if __name__ == "__main__":
    main()

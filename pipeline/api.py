"""The Python entry point for a whole folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.settings import choose
from pipeline.storage.location import Location, location
from pipeline.work.config import RunConfig
from pipeline.work.progress import RunProgress
from pipeline.work.run import RunReport, run_config


def run(
    videos: str | os.PathLike[str] | Location,
    out: str | os.PathLike[str] | Location,
    *,
    preset: str | None = None,
    experts: Sequence[str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    weights: str | os.PathLike[str] | None = None,
    progress: RunProgress | None = None,
    **settings: Any,
) -> RunReport:
    """Extract a folder of videos into a feature store, as ``python -m extract`` does.

    Args:
        videos: folder of videos, or one video; a path, or a URL of object storage.
        out: a new folder, or a store to go on with; likewise.
        preset: name of a preset; ``all`` if neither this nor ``experts`` is given.
        experts: names of experts; what they read from is added.
        options: options for each expert, ``{"scenes": {"detector": "content"}}``.
        weights: folder with published checkpoints.
        progress: written while the run goes on, to be read from another thread.
        **settings: further fields of :class:`pipeline.work.run.RunConfig`, such as ``device``,
            ``batch_size``, ``shard_size``, ``random_seed``, ``retry_failed`` or ``cluster``.

    Raises:
        MarqueeError: what was asked for cannot be done, or the store cannot be written.
    """
    names, chosen = choose(preset=preset, experts=experts, layers=[options or {}])
    config = RunConfig(
        videos=location(videos),
        out=location(out),
        experts=names,
        options=chosen,
        weights=None if weights is None else Path(weights),
        **settings,
    )
    return run_config(config, progress)

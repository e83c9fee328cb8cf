"""The Python entry point for a whole folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from extract.options import Decode, Dtype, Precision, arguments_checked, convert
from pipeline.notebook_progress import shown_in_notebook
from pipeline.settings import choose
from pipeline.storage.location import Location, location
from pipeline.work.config import Cluster, RunConfig
from pipeline.work.progress import RunProgress
from pipeline.work.run import RunReport, run_config


@arguments_checked
def run(
    videos: str | os.PathLike[str] | Location,
    out: str | os.PathLike[str] | Location,
    *,
    preset: str | None = None,
    experts: Sequence[str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    weights: str | os.PathLike[str] | None = None,
    download: bool = True,
    random_seed: int | None = None,
    device: str = "auto",
    precision: Precision | None = None,
    dtype: Dtype = "float16",
    decode: Decode = "cpu",
    shard_size: int = 64,
    retry_failed: bool = False,
    new_root: bool = False,
    replace_changed: bool = False,
    batch_size: int | None = None,
    decoders: int | None = None,
    checkpoint_seconds: float = 300.0,
    cluster: Cluster | None = None,
    progress: RunProgress | None = None,
) -> RunReport:
    """Extract a folder of videos into a feature store, as ``marquee extract`` does.

    A video that fails is recorded and the run goes on; what is in the store already is not computed again.

    Args:
        videos: folder of videos, or one video; a path, or a URL of object storage.
        out: the feature store, new, or existing to resume; likewise.
        preset: name of a preset; ``all`` if neither this nor ``experts`` is given.
        experts: names of experts; what they read from is added.
        options: options for each expert, ``{"scenes": {"detector": "content"}}``.
        weights: folder with published checkpoints; default: the libraries' caches, then a download.
        download: whether missing weights may be downloaded.
        random_seed: draw all weights from this seed instead of reading files (dry runs).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: of the networks; default: as in the store, else bfloat16 on a GPU and float32 on a CPU.
        dtype: of stored vectors.
        decode: what decodes pictures: ``cpu``, or ``cuda``, the GPU's own decoder (its pixels differ).
        shard_size: videos in a new shard.
        retry_failed: try again what failed before.
        new_root: the store's videos are in this folder now; ids stay.
        replace_changed: extract again, in place of their old rows, inputs that have changed.
        batch_size: of the models; default: 16, on a GPU 64.
        decoders: processes; default: one for each core, at most 16.
        checkpoint_seconds: what is finished of a shard is written so often.
        cluster: ``Cluster(workers=2)``, say; None: this process does all.
        progress: written during the run, to be read from another thread; a notebook shows it by itself.

    Raises:
        MarqueeError: what was asked for cannot be done (found before anything is made), or not written.

    Example:
        >>> import pipeline
        >>> options = {"scenes": {"detector": "content"}}
        >>> report = pipeline.run("videos", "features", experts=["lowlevel"], options=options)
        >>> report.videos, report.failed, report.rows["scenes"]
        (24, 0, 60)
    """
    layer = convert("options", Mapping[str, Mapping[str, Any]] | None, options) or {}
    names, chosen = choose(preset=preset, experts=experts, layers=[layer])
    config = RunConfig(
        videos=location(videos, "--videos"), out=location(out, "--out"), experts=names, options=chosen,
        weights=convert("--weights", Path | None, weights, texts=False), download=download, device=device,
        random_seed=random_seed, precision=precision, dtype=dtype, shard_size=shard_size, new_root=new_root,
        retry_failed=retry_failed, replace_changed=replace_changed, batch_size=batch_size,
        decode=decode, decoders=decoders, checkpoint_seconds=checkpoint_seconds, cluster=cluster or Cluster(),
    )  # fmt: skip
    watched = convert("progress", RunProgress | None, progress, texts=False) or RunProgress()
    with shown_in_notebook(watched):
        return run_config(config, watched)

"""The Python entry point for a single video."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.engine.settings import EngineSettings
from extract.engine.task import VideoTask
from extract.errors import MarqueeError, MediaError
from extract.options import Decode, Precision, arguments_checked, convert

if TYPE_CHECKING:
    import pyarrow as pa


@arguments_checked
def video(
    path: str | os.PathLike[str],
    *,
    experts: Iterable[str],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: Precision | None = None,
    random_seed: int | None = None,
    decode: Decode = "cpu",
    video_id: str | None = None,
) -> dict[str, pa.Table]:
    """Features of one video, as one Arrow table for each table of the experts, by name.

    A row is a shot, a window of sound, a line of text, ..., with ``start_seconds`` and ``end_seconds`` on the
    video's clock, the expert's columns, and where it has vectors ``embedding``, a fixed-size list of float32.
    An expert that found nothing (no audio, no speech, no text) gives an empty table.

    Args:
        path: the video file.
        experts: names from :func:`extract.registry.expert_names`; what they read from is added.
        options: options for each expert, ``{"scenes": {"detector": "content"}}``.
        weights: folder with published checkpoints; default: the libraries' caches, then a download.
        device: ``auto``, ``cpu`` or ``cuda:N``.
        precision: of the networks; default: bfloat16 on a GPU, float32 on a CPU. Tables here hold float32.
        random_seed: draw all weights from this seed instead of reading files (dry runs).
        decode: what decodes pictures: ``cpu``, or ``cuda``, a GPU's own decoder.
        video_id: the id in the tables; default: the file's name without its suffix, as a store of its folder
            has it, so that the tables join the store's.

    Raises:
        MediaError: the file cannot be read.
        MarqueeError: bad arguments, missing weights or packages, or an expert that failed.

    Example:
        >>> import extract
        >>> options = {"scenes": {"detector": "content"}}
        >>> tables = extract.video("trailer.mp4", experts=["lowlevel"], options=options)
        >>> sorted(tables)
        ['lowlevel', 'lowlevel_video', 'scenes']
        >>> tables["scenes"].select(["video_id", "scene", "start_seconds", "end_seconds"]).to_pylist()[0]
        {'video_id': 'trailer', 'scene': 0, 'start_seconds': 0.0, 'end_seconds': 1.0}
        >>> tables["lowlevel"]["embedding"].type.list_size
        115
    """
    from extract.engine.engine import Engine
    from extract.selection import ExtractConfig, select

    convert("path", Path, path)
    convert("video_id", str | None, video_id, texts=False)
    config = ExtractConfig(
        experts=convert("experts", tuple[str, ...], experts, texts=False),
        options={} if options is None else options,
        weights=convert("weights", Path | None, weights, texts=False),
        device=device,
        precision=precision,
        dtype="float32",
        random_seed=random_seed,
        decode=decode,
    )
    selection = select(config)
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")  # Arrow holds UTF-8 only
    own_id = os.path.splitext(os.path.basename(shown))[0] if video_id is None else video_id
    task = VideoTask(own_id, os.fsencode(os.path.abspath(path)), tuple(selection.experts))
    threads = os.cpu_count() or 1
    with Engine(selection, EngineSettings(decoders=1, host_threads=threads)) as engine:
        (result,) = engine.run([task])
        for name, outcome in result.outcomes.items():
            if outcome.failure is not None:
                kind = MediaError if outcome.failure.stage == "decode" else MarqueeError
                raise kind(f"{shown}: {name} failed: {outcome.failure.message}")
        buffers = result.ledger.buffers.values()
        return {name: buffer.table() for tables in buffers for name, buffer in tables.items()}

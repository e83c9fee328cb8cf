"""Decoded sound to one channel."""

from __future__ import annotations

from functools import cache

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from extract.types import Downmix

PLANES = 8  # from as many on PyAV 18 reads beyond the end of a frame's planes
LOUDEST = 100.0  # times full scale; float sound beyond this, NaN and infinity are damage


def channels(frame: av.AudioFrame) -> NDArray[np.float32]:
    """float32 (channels, samples), full scale 1. Damaged samples of float sound are silence."""
    if frame.format.is_planar and frame.layout.nb_channels >= PLANES:
        (frame,) = av.AudioResampler(frame.format.packed, frame.layout, frame.sample_rate).resample(frame)
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype.kind == "f":
        return np.where(np.abs(values) <= LOUDEST, values, 0).astype(np.float32)
    middle = 128 if values.dtype == np.uint8 else 0
    full_scale = np.float32(2.0 ** (8 * values.dtype.itemsize - 1))
    return (values.astype(np.float32) - middle) / full_scale


def mono(frame: av.AudioFrame, downmix: Downmix = "mean") -> NDArray[np.float32]:
    """float32 (samples,) in [-1, 1]; what is too loud becomes full scale.

    ``mean`` averages the channels. ``ffmpeg`` weighs them as ``ffmpeg -ac 1`` does for 16-bit sound.
    """
    values = channels(frame)
    mixed = values.mean(axis=0, dtype=np.float32)
    if downmix == "ffmpeg" and len(values) > 2:
        mixed = _ffmpeg_weights(frame.layout.name, len(values)) @ values
    return np.asarray(np.clip(mixed, np.float32(-1), np.float32(1)))


@cache
def _ffmpeg_weights(layout: str, channels: int) -> NDArray[np.float32]:
    """The default weights of the channels in libswresample, float32 (channels,), which add up to at most 1.

    It is asked, with an impulse in each channel, so a number of channels without a layout gets its own
    default too. For 5.1: centre 0.293, left and right 0.207, surround 0.146, low frequencies 0; for stereo
    the mean. Layouts that it cannot mix give the mean.
    """
    impulses = np.eye(channels, dtype=np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(impulses, "flt", layout)
    frame.sample_rate = 48_000
    graph = Graph()
    source = graph.add_abuffer(format="flt", sample_rate=48_000, layout=layout)
    mix = graph.add("aresample", "out_chlayout=mono:out_sample_fmt=fltp:rematrix_maxval=1")
    sink = graph.add("abuffersink")
    source.link_to(mix)
    mix.link_to(sink)
    try:
        graph.configure()
        graph.push(frame)
        graph.push(None)
        mixed = graph.pull()
    except av.FFmpegError:
        return np.full(channels, 1 / channels, np.float32)
    assert isinstance(mixed, av.AudioFrame)
    return np.asarray(mixed.to_ndarray()[0, :channels], np.float32)

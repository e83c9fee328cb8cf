"""Stores in the formats of other programs: subtitles, arrays, annotations, timelines, datasets."""

from typing import Literal

Format = Literal["srt", "vtt", "csv", "numpy", "eaf", "otio", "edl", "huggingface", "webdataset"]

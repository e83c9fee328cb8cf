"""All that an expert file needs of Marquee: the one module to import from, also outside the package.

``CONTRIBUTING.md`` says what each name is for. What lies in ``_HELPERS`` is loaded when it is first used;
nothing here imports torch before it is called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from extract.declarations import (
    Embedding,
    Expert,
    FrameSpec,
    Lane,
    Model,
    Package,
    PassThrough,
    Resources,
    Streams,
    TableSpec,
    Tap,
    Tolerance,
    TwoStepModel,
)
from extract.errors import MarqueeError, MediaError, MissingDependency, UsageError, WeightsError
from extract.options import Precision
from extract.types import AudioBlock, Column, Frame, Item, MediaInfo, Row, Scene
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    from extract.experts._audio import AudioExpert, AudioModel, LogmelModel, WindowTap, check_windows
    from extract.experts._clips import ClipModel, ClipTap, check_grid
    from extract.experts._pictures import (
        IMAGE_SIZE,
        IMAGENET,
        FrameTap,
        KeyframeTap,
        Normalisation,
        PictureExpert,
        PictureModel,
        picture_item,
    )
    from extract.ops.motion.frame_grid import SceneStacks, Stack
    from extract.ops.network.batching import fixed_batches, network_batch
    from extract.ops.network.device import to_device
    from extract.ops.network.inference import dtype_of, inference, placed
    from extract.ops.network.staged import Stacked, StagedModel, to_host
    from extract.ops.picture.images import centre_crop, fit_longer, resize_shorter, squash, ten_crop
    from extract.ops.sound.windows import AudioWindows, Window
    from extract.weights.checkpoints import fill, load_state_dict, load_strict, seeded, to_be_filled

_HELPERS = {
    "extract.experts._audio": ("AudioExpert", "AudioModel", "LogmelModel", "WindowTap", "check_windows"),
    "extract.experts._clips": ("ClipModel", "ClipTap", "check_grid"),
    "extract.experts._pictures": (
        "IMAGE_SIZE",
        "IMAGENET",
        "FrameTap",
        "KeyframeTap",
        "Normalisation",
        "PictureExpert",
        "PictureModel",
        "picture_item",
    ),
    "extract.ops.motion.frame_grid": ("SceneStacks", "Stack"),
    "extract.ops.network.batching": ("fixed_batches", "network_batch"),
    "extract.ops.network.device": ("to_device",),
    "extract.ops.network.inference": ("dtype_of", "inference", "placed"),
    "extract.ops.network.staged": ("Stacked", "StagedModel", "to_host"),
    "extract.ops.picture.images": ("centre_crop", "fit_longer", "resize_shorter", "squash", "ten_crop"),
    "extract.ops.sound.windows": ("AudioWindows", "Window"),
    "extract.weights.checkpoints": ("fill", "load_state_dict", "load_strict", "seeded", "to_be_filled"),
}

if not TYPE_CHECKING:  # a type checker sees the imports above

    def __getattr__(name: str) -> Any:
        for module, names in _HELPERS.items():
            if name in names:
                return getattr(importlib.import_module(module), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "IMAGENET",
    "IMAGE_SIZE",
    "AudioBlock",
    "AudioExpert",
    "AudioModel",
    "AudioWindows",
    "ClipModel",
    "ClipTap",
    "Column",
    "Embedding",
    "Expert",
    "Frame",
    "FrameSpec",
    "FrameTap",
    "Item",
    "KeyframeTap",
    "Lane",
    "LogmelModel",
    "MarqueeError",
    "MediaError",
    "MediaInfo",
    "MissingDependency",
    "Model",
    "Normalisation",
    "Package",
    "PassThrough",
    "PictureExpert",
    "PictureModel",
    "Precision",
    "Resources",
    "Row",
    "Scene",
    "SceneStacks",
    "Stack",
    "Stacked",
    "StagedModel",
    "Streams",
    "TableSpec",
    "Tap",
    "Tolerance",
    "TwoStepModel",
    "UsageError",
    "WeightFile",
    "WeightsError",
    "Window",
    "WindowTap",
    "centre_crop",
    "check_grid",
    "check_windows",
    "dtype_of",
    "fill",
    "fit_longer",
    "fixed_batches",
    "inference",
    "load_state_dict",
    "load_strict",
    "network_batch",
    "picture_item",
    "placed",
    "resize_shorter",
    "seeded",
    "squash",
    "ten_crop",
    "to_be_filled",
    "to_device",
    "to_host",
]

"""One exception type for each failure that a caller treats differently."""

from __future__ import annotations


class MarqueeError(Exception):
    """Root of the errors that are the user's business: one clear line, no traceback."""


class UsageError(MarqueeError):
    """An argument, option or configuration that cannot be used."""


class MediaError(MarqueeError):
    """A file that cannot be opened or decoded; costs this file only."""


class MediaChanged(MediaError):
    """A file that was written to, or vanished, while it was read; costs this file only."""


class DecoderCrash(MediaError):
    """The decoder process died or hung on a file; costs this file only."""


class WeightsError(MarqueeError):
    """A checkpoint that is missing, damaged, tampered with, or of another network."""


class OutOfDeviceMemory(MarqueeError):
    """An item that does not fit into the device's memory, not even alone; costs its video's expert."""


class MissingDependency(MarqueeError):
    """An optional package that an expert needs is not installed."""


class StoreError(MarqueeError):
    """The feature store cannot be used: locked, read-only, or not a store."""

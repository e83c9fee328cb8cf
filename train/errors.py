"""What a user's labels, splits or features can be refused for."""

from __future__ import annotations

from extract.errors import MarqueeError


class DataError(MarqueeError):
    """Labels, splits or features that cannot be trained on; the message says what to do."""

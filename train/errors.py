"""What a user's labels, splits, features or options can be refused for, and which failures are final."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from extract.errors import MarqueeError, UsageError


class DataError(MarqueeError):
    """Labels, splits or features that cannot be trained on; the message says what to do."""


class Impossible(UsageError):
    """Options that no training can have."""


class Diverged(DataError):
    """A loss or scores that are no numbers: where a training's options led."""


# Of many trainings those that failed so are not tried again: the same options fail again. Whatever else fails
# may have lacked memory, disk, a device or a table, which the next start may have.
BY_OPTIONS = (Impossible, Diverged)


@contextmanager
def of_options() -> Iterator[None]:
    """What is refused within depends on options alone."""
    try:
        yield
    except UsageError as error:
        raise Impossible(str(error)) from error

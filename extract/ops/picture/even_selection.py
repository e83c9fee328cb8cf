"""A fixed number of things, evenly spaced, out of a stream whose length shows only at its end."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class EvenSelection(Generic[T]):
    """Keeps every ``stride``-th thing; with 2 x ``count`` held, every other goes and the stride doubles.

    So fewer than 2 x ``count`` are held at any time, and at the end ``count`` of them, evenly
    spaced among those, stand for the whole: each is less than one stride, and so less than
    1 / ``count`` of the stream, from where exactly even spacing would have it.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"at least one thing is to be selected: {count = }")
        self.count = count
        self._stride = 1
        self._seen = 0
        self._held: list[T] = []

    def wants_next(self) -> bool:
        """Whether the next thing is worth making."""
        return self._seen % self._stride == 0

    def push(self, thing: T | None) -> None:
        """The next thing of the stream; it may be None where :meth:`wants_next` said no."""
        if self.wants_next():
            assert thing is not None
            self._held.append(thing)
            if len(self._held) == 2 * self.count:
                self._held = self._held[::2]
                self._stride *= 2
        self._seen += 1

    def finish(self) -> list[T]:
        """``count`` things in order, or all if there were fewer."""
        held = len(self._held)
        if held <= self.count:
            return self._held
        return [self._held[int((place + 0.5) * held / self.count)] for place in range(self.count)]

"""Reading the lines that a detector found, whichever way they are turned.

RapidOCR cuts a line out along its box, so slanted lines come straight, and turns what is much higher than
wide by a quarter. What it leaves open is which way up: a line that is read with little confidence is read the
other way too, and the better reading stays. What reads well upside down by accident (SOON) follows the lines
around it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

DOUBTFUL = 0.9  # a line that is read with less confidence may stand on its head
CLEARLY = 0.05  # by which a turned reading must be better
COMPACT = 1.5  # a box whose sides differ by less may be turned by a quarter as well


@dataclass(frozen=True)
class LineReading:
    """One reading of a line: the text, the confidence in it, and the middle of each letter, 0 to 1.

    ``confidences`` in each character, spaces too; ``score`` is their mean.
    """

    text: str
    score: float
    letters: tuple[float, ...]
    confidences: tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """A line as it is read best: ``picture`` is upright, ``turn`` how it stands in the frame, clockwise.

    ``box``: float32 (4, 2), clockwise from the text's own top left corner.
    """

    reading: LineReading
    picture: NDArray[np.uint8]
    turn: int
    box: NDArray[np.float32]


@dataclass(frozen=True)
class _Cut:
    """A line's picture before it is read; its fields are those of :class:`Line`."""

    picture: NDArray[np.uint8]
    turn: int
    box: NDArray[np.float32]


# Yields pictures that can be read side by side, is sent a reading of each, and returns lines in the end.
Asking = Generator[list[NDArray[np.uint8]], list[LineReading], list[Line]]
Read = Callable[[Sequence[NDArray[np.uint8]]], Sequence[LineReading]]


def read_together(frames: Sequence[Asking], read: Read) -> list[list[Line]]:
    """The lines of each frame; what all of them ask for goes to ``read`` in one call, round by round."""
    lines: dict[int, list[Line]] = {}
    answers: dict[int, Any] = dict.fromkeys(range(len(frames)))  # None starts a generator
    while answers:
        asked: dict[int, list[NDArray[np.uint8]]] = {}
        for number, readings in answers.items():
            try:
                asked[number] = frames[number].send(readings)
            except StopIteration as end:
                lines[number] = end.value
        found = iter(read([picture for pictures in asked.values() for picture in pictures]))
        answers = {number: [*islice(found, len(pictures))] for number, pictures in asked.items()}
    return [lines[number] for number in range(len(frames))]


def read_lines(crops: Sequence[NDArray[np.uint8]], boxes: NDArray[np.float32], *, turn_all: bool) -> Asking:
    """The lines of one frame, cut out along their ``boxes`` (n, 4, 2), each in its best turn.

    ``turn_all``: try the turns of every line, not only of doubtful ones.
    """
    lines = yield from _read([_cut(*each, 0) for each in zip(crops, boxes, strict=True)])
    turns = [
        (place, degrees)
        for place, line in enumerate(lines)
        if turn_all or line.reading.score < DOUBTFUL
        for degrees in _other_turns(crops[place])
    ]
    turned = yield from _read([_cut(crops[place], boxes[place], degrees) for place, degrees in turns])
    for place in dict.fromkeys(place for place, _ in turns):
        others = [line for line, (whose, _) in zip(turned, turns, strict=True) if whose == place]
        best = max(others, key=lambda line: line.reading.score)
        if best.reading.score > lines[place].reading.score + CLEARLY:
            lines[place] = best
    main = main_turn(lines)
    against = [n for n, line in enumerate(lines) if main in (180, 270) and line.turn == main - 180]
    turned = yield from _read([_cut(crops[place], boxes[place], 180) for place in against])
    for place, line in zip(against, turned, strict=True):
        if line.reading.score >= lines[place].reading.score - CLEARLY:
            lines[place] = line
    return lines


def main_turn(lines: Sequence[Line]) -> int:
    """How most letters of a frame stand, in degrees clockwise."""
    letters = dict.fromkeys((0, 90, 180, 270), 0)
    for line in lines:
        letters[line.turn] += len(line.reading.letters)
    return max(letters, key=letters.__getitem__)


def _other_turns(crop: NDArray[np.uint8]) -> tuple[int, ...]:
    compact = max(crop.shape[:2]) < COMPACT * min(crop.shape[:2])
    return (90, 180, 270) if compact else (180,)


def _read(cuts: Sequence[_Cut]) -> Asking:
    readings = (yield [cut.picture for cut in cuts]) if cuts else []
    return [
        Line(reading, cut.picture, cut.turn, cut.box) for reading, cut in zip(readings, cuts, strict=True)
    ]


def _cut(crop: NDArray[np.uint8], box: NDArray[np.float32], degrees: int) -> _Cut:
    """The line after turning what was cut out counter-clockwise."""
    across, down = _sides(box)
    # what stands much higher than wide was cut out with a quarter turn
    quarters = (degrees // 90 + (down >= COMPACT * across)) % 4
    picture = np.ascontiguousarray(np.rot90(crop, degrees // 90))
    return _Cut(picture, 90 * quarters, np.roll(box, -quarters, axis=0))


def upright(boxes: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """Corners (n, 4, 2) of a frame that is turned back by ``turn`` degrees about its top left corner."""
    x, y = boxes[..., 0], boxes[..., 1]
    return np.stack({0: (x, y), 90: (y, -x), 180: (-x, -y), 270: (-y, x)}[turn], axis=-1)


def _sides(box: NDArray[np.float32]) -> tuple[float, float]:
    """Width and height of a box, as RapidOCR measures them when it cuts."""
    across = max(np.linalg.norm(box[0] - box[1]), np.linalg.norm(box[2] - box[3]))
    down = max(np.linalg.norm(box[0] - box[3]), np.linalg.norm(box[1] - box[2]))
    return float(int(across)), float(int(down))

"""Reading the lines that a detector found, whichever way they are turned.

RapidOCR cuts a line out along its box, so slanted lines come straight, and turns what is much higher than
wide by a quarter. What it leaves open is which way up: a line that is read with little confidence is read the
other way too, and the better reading stays. What reads well upside down by accident (SOON) follows the lines
around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


Read = Callable[[NDArray[np.uint8]], LineReading]


def read_lines(
    crops: Sequence[NDArray[np.uint8]], boxes: NDArray[np.float32], read: Read, *, turn_all: bool
) -> list[Line]:
    """The lines of one frame, cut out along their ``boxes`` (n, 4, 2), each in its best turn.

    ``turn_all``: try the turns of every line, not only of doubtful ones.
    """
    lines = [_best(crop, box, read, turn_all) for crop, box in zip(crops, boxes, strict=True)]
    main = main_turn(lines)
    for place, line in enumerate(lines):
        if main in (180, 270) and line.turn == main - 180:
            turned = _turned(crops[place], boxes[place], read, 180)
            if turned.reading.score >= line.reading.score - CLEARLY:
                lines[place] = turned
    return lines


def main_turn(lines: Sequence[Line]) -> int:
    """How most letters of a frame stand, in degrees clockwise."""
    letters = dict.fromkeys((0, 90, 180, 270), 0)
    for line in lines:
        letters[line.turn] += len(line.reading.letters)
    return max(letters, key=letters.__getitem__)


def _best(crop: NDArray[np.uint8], box: NDArray[np.float32], read: Read, turn_all: bool) -> Line:
    as_cut = _turned(crop, box, read, 0)
    if as_cut.reading.score >= DOUBTFUL and not turn_all:
        return as_cut
    compact = max(crop.shape[:2]) < COMPACT * min(crop.shape[:2])
    others = [_turned(crop, box, read, degrees) for degrees in ((90, 180, 270) if compact else (180,))]
    best = max(others, key=lambda line: line.reading.score)
    return best if best.reading.score > as_cut.reading.score + CLEARLY else as_cut


def _turned(crop: NDArray[np.uint8], box: NDArray[np.float32], read: Read, degrees: int) -> Line:
    """The line read after turning what was cut out counter-clockwise."""
    across, down = _sides(box)
    # what stands much higher than wide was cut out with a quarter turn
    quarters = (degrees // 90 + (down >= COMPACT * across)) % 4
    picture = np.ascontiguousarray(np.rot90(crop, degrees // 90))
    return Line(read(picture), picture, 90 * quarters, np.roll(box, -quarters, axis=0))


def upright(boxes: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """Corners (n, 4, 2) of a frame that is turned back by ``turn`` degrees about its top left corner."""
    x, y = boxes[..., 0], boxes[..., 1]
    return np.stack({0: (x, y), 90: (y, -x), 180: (-x, -y), 270: (-y, x)}[turn], axis=-1)


def _sides(box: NDArray[np.float32]) -> tuple[float, float]:
    """Width and height of a box, as RapidOCR measures them when it cuts."""
    across = max(np.linalg.norm(box[0] - box[1]), np.linalg.norm(box[2] - box[3]))
    down = max(np.linalg.norm(box[0] - box[3]), np.linalg.norm(box[1] - box[2]))
    return float(int(across)), float(int(down))

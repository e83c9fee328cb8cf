"""The views as SVG, in the style of all figures: maps of videos, genres of scenes over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from train.figures import DARK, GREY, LINES, shortened, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

    from train.views.scenes import SceneScores
    from train.views.space import VideoMap

TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)  # seconds
_NOWHERE = np.zeros((0, 2))
MARKS = "os^D"  # as on the pages: the colours come again with the next mark


def look(genre: int) -> tuple[str, str]:
    """Colour and mark of a genre by its number; -1 is none."""
    if genre < 0:
        return GREY, MARKS[0]
    return LINES[genre % len(LINES)], MARKS[genre // len(LINES) % len(MARKS)]


def map_picture(found: VideoMap) -> bytes:
    """A map for each projection, side by side, with one legend. A video is marked by its likeliest genre."""
    size = min(30.0, max(4.0, 9000 / len(found.ids)))
    high = max(float(np.abs(places[:, 1]).max()) for places in found.places.values()) + 0.05
    columns = {1: 3, 2: 5}.get(len(found.places), 6)

    def draw(picture: Picture) -> None:
        maps = picture.subplots(1, len(found.places), squeeze=False)[0]
        for axes, (name, places) in zip(maps, found.places.items(), strict=True):
            # Common ones first, so that rare ones stay in sight.
            for genre in np.unique(found.looks).tolist():
                mine = found.looks == genre
                _scatter(axes, places[mine & found.labelled], genre, size)
                _scatter(axes, places[mine & ~found.labelled], genre, size, hollow=True)
            axes.set_title(name, fontsize=10, loc="left", color=DARK)
            axes.set(xticks=[], yticks=[], aspect="equal", xlim=(-1.05, 1.05), ylim=(-high, high))
            axes.spines[:].set_visible(True)
            axes.spines[:].set_color("#dddddd")
        picture.legend(
            handles=_legend(maps[0], found),
            loc="outside lower left",
            ncols=columns,
            fontsize=8,
            handletextpad=0.1,
        )

    rows = math.ceil((len(found.genres) + 2) / columns)
    return svg(draw, (4.6 * len(found.places), 0.5 + 4.4 * high / 1.05 + 0.19 * rows))


def _legend(axes: Any, found: VideoMap) -> list[Any]:
    """A handle for each genre that is there, with its number of videos, and for videos without one."""
    counts = found.matrix.sum(axis=0).tolist()
    names = [f"{shortened(genre, 24)} ({count:,})" for genre, count in zip(found.genres, counts, strict=True)]
    handles = [_scatter(axes, _NOWHERE, i, 26, label=name) for i, name in enumerate(names) if counts[i]]
    none = int((found.labelled & (found.looks < 0)).sum())
    if none:
        handles.append(_scatter(axes, _NOWHERE, -1, 26, label=f"no genre ({none:,})"))
    if not found.labelled.all():
        handles.append(_scatter(axes, _NOWHERE, -1, 26, hollow=True, label="no label: predicted"))
    return handles


def _scatter(axes: Any, places: Any, genre: int, size: float, *, hollow: bool = False, **more: Any) -> Any:
    colour, mark = look(genre)
    edge = {"edgecolors": colour, "linewidths": 0.7} if hollow else {"edgecolors": "white", "linewidths": 0.3}
    return axes.scatter(*places.T, s=size, marker=mark, c="white" if hollow else colour, **edge, **more)


def scenes_picture(found: SceneScores) -> bytes:
    """Above, the likeliest genre of each shot; below, a row for each genre: the fuller, the likelier."""
    widths = found.end_seconds - found.start_seconds
    known = np.flatnonzero(found.known).tolist()
    bars = [(float(found.start_seconds[shot]), float(widths[shot])) for shot in known]
    first, last = float(found.start_seconds[0]), float(found.end_seconds.max())

    def draw(picture: Picture) -> None:
        count = len(found.genres)
        above, below = picture.subplots(2, 1, sharex=True, height_ratios=(1.25, count))
        _bars(above, bars, 0, [look(int(found.scores[shot].argmax()))[0] for shot in known])
        for genre in range(count):
            colour = look(genre)[0]
            _bars(below, bars, genre, [(colour, float(found.scores[shot, genre])) for shot in known])
        above.set_title(shortened(found.video_id, 90), fontsize=10, loc="left", color=DARK)
        above.set(yticks=[0], yticklabels=["likeliest"], ylim=(0.5, -0.5))
        below.set_yticks(range(count), [shortened(genre, 24) for genre in found.genres])
        below.set(xlim=(first, last), ylim=(count - 0.5, -0.5), xlabel="time")
        right = below.secondary_yaxis("right")
        right.set_yticks(range(count), [f"{score:.2f}" for score in found.whole])
        right.set_ylabel("score of the whole video")
        for axes in (above, below, right):
            axes.grid(visible=False)
            axes.tick_params(length=0, axis="y")
            axes.spines[:].set_visible(False)
        above.tick_params(length=0, axis="x")
        step = next((tick for tick in TICKS if (last - first) / tick <= 9), TICKS[-1])
        ticks = np.arange(math.ceil(first / step) * step, last + 1e-9, step)
        below.set_xticks(ticks, [clock(tick) for tick in ticks.tolist()])

    return svg(draw, (7.6, 1.3 + 0.23 * len(found.genres)))


def clock(seconds: float, digits: int = 0) -> str:
    """``75`` as ``1:15``, with digits ``1:15.0``."""
    rounded = round(seconds, digits)
    minutes = int(rounded // 60)
    rest = f"{rounded - 60 * minutes:0{digits + 3 if digits else 2}.{digits}f}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest}" if minutes >= 60 else f"{minutes}:{rest}"


def _bars(axes: Any, bars: Sequence[tuple[float, float]], row: int, colours: Sequence[Any]) -> None:
    if bars:
        axes.broken_barh(bars, (row - 0.44, 0.88), facecolors=colours, linewidth=0)

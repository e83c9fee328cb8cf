"""Pictures as SVG: precision-recall curves, points with intervals, and lines over numbers.

The same figures give the same bytes: no date and no random ids are in a file. Text stays text, and what
comes from labels is never read as a formula.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.pages.colours import COLOURS, colour_of, looks_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

    from train.evaluation.tables import Estimate

BLUE, GREY, DARK = COLOURS[0], "#8a8a8a", "#333333"
MARKS = "osD^vP*X"
DASHES = ("-", "--", "-.", ":")  # of genres that have the same colour
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "marquee",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": DARK,
    "xtick.color": DARK,
    "ytick.color": DARK,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
MOST_BARS = 30  # that are named each
MOST_TICKS = 12  # of more, the axis chooses its own


Series = Mapping[str, Sequence[tuple[float, "Estimate"]]]  # by name: numbers, and what is there


def points(
    rows: Sequence[tuple[str, Estimate]], *, label: str, baselines: Mapping[str, float] | None = None
) -> bytes:
    """A point with its interval for each row, from the top; baselines are dashed lines."""

    def draw(picture: Picture) -> None:
        axes = picture.add_subplot()
        for place, (_, estimate) in enumerate(rows):
            if math.isnan(estimate.mean):
                continue
            ends = [[estimate.mean - estimate.low], [estimate.high - estimate.mean]]
            bars = None if math.isnan(estimate.low) else np.maximum(ends, 0)
            axes.errorbar([estimate.mean], [place], xerr=bars, fmt="o", color=BLUE, markersize=5, capsize=3)
        axes.set_yticks(range(len(rows)), [shortened(name, 40) for name, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(label)
        for place, (name, value) in enumerate((baselines or {}).items()):
            axes.axvline(value, color=GREY, linestyle=("--", ":")[place % 2], label=f"{name}: {value:.3f}")
        if baselines:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    return svg(draw, (6.4, 1.2 + 0.3 * max(len(rows), 2)))


def lines(
    series: Series,
    *,
    label: str,
    steps: str,
    random: float,
    log: bool = True,
) -> bytes:
    """A line for each name over some numbers (of steps), with intervals; chance is a dashed line.

    Numbers by powers of two (``log``), and few others, are marked, and each is a tick.
    """
    ticks = sorted({step for values in series.values() for step, _ in values})
    few = log or len(ticks) <= MOST_TICKS

    def draw(picture: Picture) -> None:
        axes = picture.add_subplot()
        _draw_lines(axes, series, marked=few)
        axes.axhline(random, color=GREY, linestyle="--", label=f"random: {random:.3f}")
        if log:
            axes.set_xscale("log", base=2)
        if few:
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
        axes.set(xlabel=steps, ylabel=label)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return svg(draw, (6.4, 3.8))


def _draw_lines(axes: Any, series: Series, *, marked: bool, looks: Mapping[str, int] | None = None) -> None:
    for place, (name, values) in enumerate(series.items()):
        known = [(step, estimate) for step, estimate in values if not math.isnan(estimate.mean)]
        if not known:
            continue
        at = [step for step, _ in known]
        mean, low, high = (
            np.array([getattr(estimate, part) for _, estimate in known]) for part in ("mean", "low", "high")
        )
        colour, mark = _look(place)
        style: dict[str, Any] = {"marker": mark if marked else "", "markersize": 4.5}
        if looks and name in looks:
            colour = colour_of(looks[name])
            style["linestyle"] = DASHES[looks[name] // len(COLOURS)]
        axes.plot(at, mean, color=colour, label=shortened(name, 30), **style)
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)


def panels(
    curves: Mapping[str, Series],
    *,
    steps: str,
    limits: tuple[float, float] | None = None,
    genres: Sequence[str] = (),
) -> bytes:
    """Lines as in :func:`lines` in a panel for each name, with one legend; ``genres`` have their colours."""
    looks = dict(zip(genres, looks_of(genres), strict=True))
    columns = min(4, max(2, math.ceil(math.sqrt(len(curves)))))
    rows = math.ceil(len(curves) / columns)

    def draw(picture: Picture) -> None:
        grid = picture.subplots(rows, columns, squeeze=False, sharex=True).ravel()
        for axes, (title, series) in zip(grid, curves.items(), strict=False):
            _draw_lines(axes, series, marked=False, looks=looks)
            axes.set_title(shortened(title, 36), fontsize=8, loc="left")
            if all(float(step).is_integer() for values in series.values() for step, _ in values):
                axes.locator_params(axis="x", integer=True)
            if limits is not None:
                axes.set_ylim(*limits)
        for axes in grid[len(curves) :]:
            axes.set_visible(False)
        picture.supxlabel(steps, fontsize=9)
        known = {
            text: line for axes in grid for line, text in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        picture.legend(list(known.values()), list(known), loc="outside right upper")

    return svg(draw, (2 + 2.3 * columns, 0.8 + 1.9 * rows))


def bars(counts: Mapping[str, Mapping[str, int]]) -> bytes:
    """How many of each, in a panel for each name, one below the other."""

    def draw(picture: Picture) -> None:
        grid = picture.subplots(max(len(counts), 1), 1, squeeze=False).ravel()
        for axes, (title, values) in zip(grid, counts.items(), strict=False):
            axes.bar(range(len(values)), list(values.values()), color=BLUE)
            axes.set_xticks(
                range(len(values)), [shortened(name, 16) for name in values], rotation=60, ha="right"
            )
            if len(values) > MOST_BARS:
                axes.locator_params(axis="x", nbins=MOST_TICKS)
            axes.grid(axis="x", visible=False)
            axes.set_ylabel(title)

    return svg(draw, (6.4, 0.4 + 2.6 * max(len(counts), 1)))


def score_bars(shown: Mapping[str, tuple[Any, Any]], genres: Sequence[str], threshold: float) -> bytes:
    """Scores of all genres, in a panel for each video: name -> scores and labels, (genres,) each.

    A line marks the ``threshold`` from which on a genre is predicted.
    """
    columns, looks = min(3, max(len(shown), 1)), looks_of(genres)
    rows = max(1, math.ceil(len(shown) / columns))

    def draw(picture: Picture) -> None:
        grid = picture.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axes, (name, (scores, has)) in zip(grid, shown.items(), strict=False):
            shades = [colour_of(look) if there else GREY for look, there in zip(looks, has, strict=True)]
            axes.barh(range(len(genres)), scores, color=shades)
            axes.axvline(threshold, color=DARK, linestyle=":", linewidth=1)
            axes.set_title(shortened(name, 28), fontsize=8, loc="left")
        for axes in grid[len(shown) :]:
            axes.set_visible(False)
        grid[0].set_yticks(range(len(genres)), [shortened(genre, 16) for genre in genres])
        grid[0].set(ylim=(len(genres) - 0.5, -0.5), xlim=(0, 1))
        picture.supxlabel(
            f"score; in colour: the video has the genre; dotted: threshold {threshold:g}", fontsize=9
        )

    return svg(draw, (1.2 + 2 * columns, 0.8 + (0.4 + 0.17 * len(genres)) * rows))


def grouped(
    series: Mapping[str, Sequence[Estimate]], groups: Sequence[str], *, label: str, random: Sequence[float]
) -> bytes:
    """For each group, from the top, a point with its interval of each name; chance is a grey line in it.

    ``series`` has an estimate for each group, and so has ``random``.
    """
    height = 0.8 / max(len(series), 1)

    def draw(picture: Picture) -> None:
        axes = picture.add_subplot()
        for place, (name, estimates) in enumerate(series.items()):
            colour, mark = _look(place)
            known = [(row, one) for row, one in enumerate(estimates) if not math.isnan(one.mean)]
            at = [row - 0.4 + height * (place + 0.5) for row, _ in known]
            mean = [one.mean for _, one in known]
            ends = [[max(one.mean - one.low, 0), max(one.high - one.mean, 0)] for _, one in known]
            reach = np.nan_to_num(np.reshape(ends, (-1, 2)).T)
            style: dict[str, Any] = {"markersize": 4, "capsize": 2, "elinewidth": 1}
            axes.errorbar(mean, at, xerr=reach, fmt=mark, color=colour, label=shortened(name, 30), **style)
        rows = range(len(groups))
        axes.vlines(
            random, [row - 0.45 for row in rows], [row + 0.45 for row in rows], color=GREY, label="random"
        )
        axes.set_yticks(rows, [shortened(group, 30) for group in groups])
        axes.set_ylim(len(groups) - 0.45, -0.55)
        axes.set_xlim(left=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(label)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return svg(draw, (6.8, 0.8 + max(0.3, 0.12 * len(series) + 0.1) * max(len(groups), 3)))


def _look(place: int) -> tuple[str, str]:
    """Colour and mark of a line or a row of points; when the colours come again, the marks are others."""
    again = place // len(COLOURS)
    return COLOURS[place % len(COLOURS)], MARKS[(place + again) % len(MARKS)]


def shortened(text: str, length: int) -> str:
    """One line of at most so many characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def svg(draw: Any, size: tuple[float, float]) -> bytes:
    """What ``draw`` makes of an empty picture; ``size`` in inches."""
    import matplotlib
    from matplotlib.figure import Figure as Picture

    written = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the viewer's fonts may have it
        picture = Picture(figsize=size, layout="constrained")
        draw(picture)
        picture.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return written.getvalue()

"""Precision over recall, as pictures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.pages.colours import colour_of, looks_of
from train.evaluation.svg import BLUE, GREY, shortened, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

    from train.evaluation.figures import Curve, Evaluation


MOST_POINTS = 2000


def pooled_curve(evaluation: Evaluation) -> bytes:
    """Precision over recall of all (video, genre) cells together."""
    figure = evaluation.figures["ap_micro"]

    def draw(picture: Picture) -> None:
        axes = picture.add_subplot()
        share = sum(evaluation.support) / (evaluation.videos * len(evaluation.genres))
        label = f"all genres pooled: AP {figure.value:.3f}"
        if not math.isnan(figure.low):
            label += f" [{figure.low:.3f}, {figure.high:.3f}]"
        _curve(axes, evaluation.pooled_curve, share)
        axes.lines[0].set_label(label)
        axes.lines[1].set_label(f"random order: precision {share:.3f}, AP {figure.random:.3f}")
        axes.set(xlabel="recall", ylabel="precision")
        axes.legend(loc="lower left")

    return svg(draw, (5.2, 4.2))


def genre_curves(evaluation: Evaluation) -> bytes:
    """Precision over recall of each genre, the most common first."""
    order = np.argsort(-np.array(evaluation.support), kind="stable")
    columns = min(5, max(1, math.ceil(math.sqrt(len(order)))))
    rows = math.ceil(len(order) / columns)
    looks = looks_of(evaluation.genres)

    def draw(picture: Picture) -> None:
        grid = picture.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axes, place in zip(grid, order, strict=False):
            figure = evaluation.by_genre["ap"][place]
            share = evaluation.support[place] / evaluation.videos
            _curve(axes, evaluation.curves[place], share, colour_of(looks[place]))
            name = shortened(evaluation.genres[place], 24)
            result = f"AP {figure.value:.2f}, random {figure.random:.2f}" if share else "in no video"
            axes.set_title(f"{name} ({evaluation.support[place]})\n{result}", fontsize=8, loc="left")
        for place, axes in enumerate(grid):
            axes.set_visible(place < len(order))
            axes.tick_params(labelbottom=place + columns >= len(order))
        picture.supxlabel("recall", fontsize=9)
        picture.supylabel("precision", fontsize=9)

    return svg(draw, (1 + 1.75 * columns, 0.6 + 1.75 * rows))


def _curve(axes: Any, curve: Curve, chance: float, colour: str = BLUE) -> None:
    """Steps without interpolation: precision at a recall is that of the first place that reaches it."""
    recall, precision = _thinned(curve)
    if recall.size:
        axes.step(np.concatenate([[0.0], recall]), np.concatenate([precision[:1], precision]), where="pre",
                  color=colour, linewidth=1.3)  # fmt: skip
    else:
        axes.plot([], [], color=colour)
    axes.axhline(chance, color=GREY, linestyle="--", linewidth=1)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.02))


def _thinned(curve: Curve) -> Curve:
    """At most MOST_POINTS of a curve, spread evenly over it; the last one stays."""
    recall, precision = curve
    if recall.size <= MOST_POINTS:
        return curve
    keep = np.unique(np.linspace(0, recall.size - 1, MOST_POINTS).round().astype(int))
    return recall[keep], precision[keep]

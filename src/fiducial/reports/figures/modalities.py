"""A score for every choice of modalities, over a matrix of dots that says which there are."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fiducial.reports.figures.style import BLUE, GREY, short, styled
from fiducial.statistics import Interval

EMPTY = "#dcdcdc"


@styled
def modalities(
    names: Sequence[str], present: Sequence[Sequence[bool]], intervals: Sequence[Interval], score: str
) -> Figure:
    """Draw a column a choice, in the order given: its score with interval above, a dot a modality below.

    Args:
        names: of the modalities.
        present: for each choice, which of them there are.
        intervals: for each choice, its score.
        score: the score's name.
    """
    width = max(4.5, 1.2 + 0.11 * max(len(short(name)) for name in names) + 0.42 * len(present))
    figure = Figure(figsize=(width, 3.2 + 0.3 * len(names)), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.0, 0.35 * len(names) + 0.15])
    figure.suptitle(f"{score.replace('_', ' ')} by modalities present", x=0.01, ha="left", fontsize=12, weight="bold")
    _scores(above, intervals, score)
    _dots(below, names, present)
    return figure


def _scores(axes: Axes, intervals: Sequence[Interval], score: str) -> None:
    for place, found in enumerate(intervals):
        if not isfinite(found.value):
            continue
        if isfinite(found.low):
            axes.plot([place, place], [found.low, found.high], color=BLUE, linewidth=2, solid_capstyle="butt")
        axes.plot(place, found.value, "o", color=BLUE, markersize=7, markeredgecolor="white")
    axes.set_ylabel(f"{score.replace('_', ' ')}, 95 % interval")
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)


def _dots(axes: Axes, names: Sequence[str], present: Sequence[Sequence[bool]]) -> None:
    for place, there in enumerate(present):
        rows = [row for row, flag in enumerate(there) if flag]
        axes.plot([place] * len(names), range(len(names)), "o", color=EMPTY, markersize=9)
        axes.plot([place, place], [min(rows), max(rows)], color=GREY, linewidth=1.5)
        axes.plot([place] * len(rows), rows, "o", color=BLUE, markersize=9)
    axes.set_yticks(range(len(names)), [short(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-0.6, len(present) - 0.4)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)

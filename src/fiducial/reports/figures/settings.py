"""The settings of a sweep side by side: each run a point, each setting its mean and interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from fiducial.reports.figures.style import BLUE, VERMILLION, short, styled
from fiducial.statistics import Interval

MAX_SETTINGS = 40  # more do not fit on a page; the best are shown


@styled
def settings(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Interval]]], *, over_folds: bool = False
) -> Figure:
    """Draw a panel a score, a row a setting.

    Args:
        panels: by the score's name, for each setting the values of its runs and their interval, best setting first.
        over_folds: intervals of several seeds and folds are over folds, of their means over seeds.
    """
    rows = list(next(iter(panels.values())))[:MAX_SETTINGS]
    height = 1.4 + 0.34 * len(rows)
    figure = Figure(figsize=(10, height), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (score, drawn) in zip(axes, panels.items(), strict=True):
        for row, setting in enumerate(rows):
            values, interval = drawn[setting]
            axis.plot(values, [row] * len(values), "o", color=BLUE, alpha=0.55, markersize=6, markeredgewidth=0)
            if interval.low == interval.low:
                axis.plot([interval.low, interval.high], [row, row], color=VERMILLION, linewidth=2.2, zorder=1)
            axis.plot([interval.value], [row], "|", color=VERMILLION, markersize=15, markeredgewidth=2.2)
        axis.set_title(score)
        axis.margins(x=0.08)
        axis.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(rows)), [short(row, 48) for row in rows])
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    hidden = len(next(iter(panels.values()))) - len(rows)
    more = f"; {hidden} more settings are in summary.csv" if hidden else ""
    over = " (over folds, where there are several, of the mean over seeds)" if over_folds else ""
    figure.supxlabel(f"points: runs; bar: mean and 95 % interval{over}{more}", fontsize=10)
    return figure

"""The free-response ROC of a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

from fiducial.reports.figures.style import BLUE, COLOURS, GREY, styled, with_bounds
from fiducial.statistics import Interval

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@styled
def froc(curves: Mapping[str, Curve], intervals: Mapping[str, Interval], rates: Sequence[float], rule: str) -> Figure:
    """Draw the share of boxes that are found against false positives an image, with intervals at the usual rates.

    Args:
        curves: false positives an image and sensitivity by falling threshold; of all classes first, under any name.
        intervals: of `cpm`, `sensitivity_at_<rate>` and `cpm/<class>`.
        rates: false positives an image at which the sensitivity is told.
        rule: what counts as found, in words.
    """
    figure = Figure(figsize=(8.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, (false, found)) in enumerate(curves.items()):
        score = intervals["cpm"] if number == 0 else intervals[f"cpm/{name}"]
        colour = BLUE if number == 0 else COLOURS[number % len(COLOURS)]
        label = f"{name}: mean of the seven {with_bounds(score)}"
        # What is reached stays reached until the next false positive.
        axes.step(*_extended(false, found, rates), where="post", color=colour, label=label, zorder=3)
    told = [intervals[f"sensitivity_at_{rate:g}"] for rate in rates]
    for rate, interval in zip(rates, told, strict=True):
        axes.plot([rate, rate], [interval.low, interval.high], color=GREY, linewidth=1.2, zorder=2)
    axes.plot(rates, [interval.value for interval in told], "o", color=BLUE, markersize=5, zorder=4)
    axes.set_xscale("log", base=2)
    axes.set_xlim(rates[0] / 1.3, rates[-1] * 1.3)
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_locator(FixedLocator(list(rates)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([_fraction(rate) for rate in rates])
    axes.set_xlabel("false positives an image")
    axes.set_ylabel("sensitivity")
    axes.set_title(f"FROC: found, if {rule}", fontweight="normal")
    axes.legend(loc="lower right")
    return figure


def _extended(false: NDArray[np.float64], found: NDArray[np.float64], rates: Sequence[float]) -> Curve:
    """Return a curve from the left edge of the picture to its right one."""
    left, right = rates[0] / 2, rates[-1] * 2
    before = found[false <= left].max(initial=0.0)
    inside = (false > left) & (false <= right)
    after = found[false <= right].max(initial=0.0)
    return np.array([left, *false[inside], right]), np.array([before, *found[inside], after])


def _fraction(rate: float) -> str:
    return f"{rate:g}" if rate >= 1 else f"1/{1 / rate:g}"

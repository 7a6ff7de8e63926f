"""How scores of cases spread, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fiducial.reports.figures.style import BLUE, GREY, short, styled

FEW = 5  # cases, of which quartiles say nothing
SHOWN = ("dice", "hd95", "surface_dice", "recall", "precision", "cldice")


@styled
def class_scores(scores: Mapping[str, NDArray[np.float64]], classes: Sequence[str], unit: str = "mm") -> Figure:
    """Draw a panel a score with a box a class, and a dot a case over it; cases without the score are counted.

    Args:
        scores: by column, `dice` or `dice/<class>`, `(cases,)`; NaN where a score is undefined.
        classes: names, without the background.
        unit: of distances: mm, or pixels.
    """
    shown = [name for name in SHOWN if name in scores]
    figure = Figure(figsize=(3.4 * max(len(shown), 1) + 0.4, 3.6), layout="constrained")
    for position, name in enumerate(shown, start=1):
        columns = [column for column in scores if column.startswith(f"{name}/")] or [name]
        axes = figure.add_subplot(1, len(shown), position)
        values = [scores[column][np.isfinite(scores[column])] for column in columns]
        for place, cases in enumerate(values, start=1):
            _cases(axes, place, cases)
        names = classes if len(columns) > 1 or len(classes) == 1 else ["all classes"]
        labels = [
            _label(label, len(cases), len(scores[column]))
            for label, column, cases in zip(names, columns, values, strict=True)
        ]
        axes.set_xticks(range(1, len(columns) + 1), labels, fontsize=9)
        axes.set_xlim(0.4, len(columns) + 0.6)
        axes.set_ylim(*_limits(np.concatenate(values), share=name != "hd95"))
        axes.set_title(f"{name.replace('_', ' ')}{f' ({unit})' if name == 'hd95' else ''}")
    return figure


def _cases(axes: Axes, place: int, cases: NDArray[np.float64]) -> None:
    """Draw cases as dots, the lowest at the left, and a box about them where there are enough for one."""
    few = len(cases) < FEW
    if not few:
        axes.boxplot([cases], positions=[place], widths=0.5, showfliers=False, medianprops={"color": BLUE})
    spread = np.linspace(-0.12, 0.12, len(cases)) if len(cases) > 1 else np.zeros(len(cases))
    axes.plot(place + spread, np.sort(cases), "o", color=BLUE if few else GREY, markersize=6 if few else 2)


def _limits(values: NDArray[np.float64], *, share: bool) -> tuple[float, float]:
    """Return the ends of an axis: 0 to 1, or to the greatest distance, where a single value gives no scale."""
    if len(np.unique(values)) < 2:
        low, high = 0.0, 1.0 if share else max([1.0, *values.tolist()])
    else:
        low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def _label(name: str, defined: int, cases: int) -> str:
    return f"{short(name, 14)}\n{defined} of {cases}" if defined < cases else short(name, 14)

"""How scores of cases spread, class by class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fiducial.reports.figures.style import BLUE, GREY, short, styled

SHOWN = ("dice", "hd95", "surface_dice", "recall", "precision", "cldice")


@styled
def class_scores(scores: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Draw a panel a score with a box a class, and a dot a case beside it; cases without the score are counted.

    Args:
        scores: by column, `dice` or `dice/<class>`, `(cases,)`; NaN where a score is undefined.
    """
    shown = [name for name in SHOWN if name in scores]
    figure = Figure(figsize=(3.4 * max(len(shown), 1) + 0.4, 3.6), layout="constrained")
    for position, name in enumerate(shown, start=1):
        columns = [column for column in scores if column.startswith(f"{name}/")] or [name]
        axes = figure.add_subplot(1, len(shown), position)
        values = [scores[column][np.isfinite(scores[column])] for column in columns]
        axes.boxplot(values, widths=0.5, showfliers=False, medianprops={"color": BLUE})
        for place, cases in enumerate(values, start=1):
            spread = np.linspace(-0.12, 0.12, len(cases)) if len(cases) > 1 else np.zeros(len(cases))
            axes.plot(place + spread, np.sort(cases), ".", color=GREY, markersize=3)
        labels = [
            _label(column, len(cases), len(scores[column])) for column, cases in zip(columns, values, strict=True)
        ]
        axes.set_xticks(range(1, len(columns) + 1), labels, fontsize=9)
        axes.set_title(f"{name.replace('_', ' ')}{' (mm)' if name == 'hd95' else ''}")
    return figure


def _label(column: str, defined: int, cases: int) -> str:
    name = short(column.partition("/")[2], 14)
    return f"{name}\n{defined} of {cases}" if defined < cases else name

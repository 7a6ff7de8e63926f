"""ROC and precision-recall curves, one against the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType
from numpy.typing import ArrayLike, NDArray

from fiducial.reports.figures.style import BLUE, GREY, LINES, Room, panels, short, styled, with_bounds
from fiducial.statistics import Interval, bootstrap


@dataclass(frozen=True)
class _Curve:
    name: str
    truth: NDArray[np.int64]
    score: NDArray[np.float64]
    intervals: Mapping[str, Interval]


@styled
def roc_and_precision_recall(
    probabilities: ArrayLike,
    labels: ArrayLike,
    subjects: ArrayLike,
    target: str,
    classes: Sequence[str],
    *,
    intervals: Mapping[str, Interval],
    num_resamples: int = 500,
) -> Figure:
    """Draw a curve a class (of the positive class if there are two), areas and intervals in the legend.

    Args:
        probabilities: `(cases, classes)`.
        labels: `(cases,)`, or `(cases, classes)` for multilabel.
        subjects: `(cases,)`.
        target: "binary", "multiclass", "multilabel" or "ordinal".
        classes: names, in the order of their numbers.
        intervals: of the scores over all classes, from `fiducial.statistics.bootstrap`.
        num_resamples: for the interval of each class.
    """
    scores, truth = np.asarray(probabilities, np.float64), np.asarray(labels, np.int64)
    truths = truth if target == "multilabel" else (truth[:, None] == np.arange(len(classes))).astype(np.int64)
    if target == "binary":
        curves = [_Curve(classes[1], truths[:, 1], scores[:, 1], intervals)]
    else:
        curves = [
            _Curve(
                name,
                truths[:, k],
                scores[:, k],
                _class_intervals(scores[:, k], truths[:, k], subjects, num_resamples),
            )
            for k, name in enumerate(classes)
        ]
    return _draw(curves, intervals, len(truth))


def _class_intervals(
    score: NDArray[np.float64], truth: NDArray[np.int64], subjects: ArrayLike, num_resamples: int
) -> dict[str, Interval]:
    both = np.stack([1 - score, score], axis=1)
    return bootstrap(both, truth, subjects, "binary", num_resamples=num_resamples)


def _draw(curves: Sequence[_Curve], intervals: Mapping[str, Interval], num_cases: int) -> Figure:
    room = Room(left=0.7, right=0.2, top=0.4, bottom=0.55)
    figure, grid = panels([4.1], [4.1, 4.1], room, below=0.22 * len(curves) + 0.4)
    roc, precision_recall = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    for curve, (colour, line) in zip(curves, cycle(LINES), strict=False):
        if 0 < curve.truth.sum() < num_cases:
            _roc(roc, curve, colour, line)
            _precision_recall(precision_recall, curve, colour, line)
    roc.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (1, 2)), linewidth=1)
    roc.text(0.56, 0.53, "chance", color=GREY, fontsize=10)
    mean = "" if len(curves) == 1 else "mean "
    _frame(roc, "1 - specificity", "sensitivity (recall)", f"ROC: {mean}AUC {with_bounds(intervals['auroc'])}")
    area = with_bounds(intervals["average_precision"])
    _frame(precision_recall, "recall", "precision", f"PR: {mean}AP {area}")
    _legend(figure, curves, num_cases)
    return figure


def _roc(axes: Axes, curve: _Curve, colour: str, line: LineStyleType) -> None:
    from sklearn.metrics import roc_curve

    false_positive_rate, true_positive_rate, _ = roc_curve(curve.truth, curve.score)
    axes.plot(false_positive_rate, true_positive_rate, color=colour, linestyle=line)


def _precision_recall(axes: Axes, curve: _Curve, colour: str, line: LineStyleType) -> None:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(curve.truth, curve.score)
    axes.plot(recall, precision, color=colour, linestyle=line, drawstyle="steps-post")
    prevalence = float(curve.truth.mean())
    axes.axhline(prevalence, color=colour if colour != BLUE else GREY, linestyle=(0, (1, 2)), linewidth=1)


def _frame(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title)


def _legend(figure: Figure, curves: Sequence[_Curve], num_cases: int) -> None:
    handles, texts = [], []
    for curve, (colour, line) in zip(curves, cycle(LINES), strict=False):
        handles.append(Line2D([], [], color=colour, linestyle=line))
        num = int(curve.truth.sum())
        areas = (
            f"AUC {with_bounds(curve.intervals['auroc'])}   AP {with_bounds(curve.intervals['average_precision'])}"
            if 0 < num < num_cases
            else "no curve"
        )
        texts.append(f"{short(curve.name)}   {areas}   n = {num:,} of {num_cases:,}")
    handles.append(Line2D([], [], color=GREY, linestyle=(0, (1, 2)), linewidth=1))
    texts.append("chance; in precision-recall the share of the class   [95 % interval over subjects]")
    figure.legend(handles, texts, loc="lower center", handlelength=2.6)

"""Reliability diagram: of the cases with 80 % confidence, are 80 % right?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from fiducial.reports.figures.style import BLUE, GREY, VERMILLION, Room, panels, short, styled, with_bounds
from fiducial.statistics import NUM_BINS, Interval, predicted_labels

Floats = NDArray[np.float64]


@styled
def reliability(
    probabilities: ArrayLike,
    labels: ArrayLike,
    target: str,
    classes: Sequence[str],
    *,
    intervals: Mapping[str, Interval],
) -> Figure:
    """Draw observed against predicted frequency in 15 bins, with 95 % Wilson intervals, over a histogram.

    The intervals take cases as independent, also several of one subject.

    For two classes the prediction is the probability of the positive class; for more, the confidence in the
    predicted class; for multilabel, every probability of every label.

    Args:
        probabilities: `(cases, classes)`.
        labels: `(cases,)`, or `(cases, classes)` for multilabel.
        target: "binary", "multiclass", "multilabel" or "ordinal".
        classes: names, in the order of their numbers.
        intervals: of the scores, from `fiducial.statistics.bootstrap`.
    """
    confidences, outcomes = _pairs(np.asarray(probabilities, np.float64), np.asarray(labels), target)
    figure, grid = panels([4.9, 1.3], [6.2], Room(left=0.8, right=0.2, top=0.4, bottom=0.4), below=0.15)
    diagram = figure.add_subplot(grid[0])
    histogram = figure.add_subplot(grid[1], sharex=diagram)
    diagram.tick_params(labelbottom=False)
    _diagram(diagram, confidences, outcomes)
    diagram.set_title(f"Expected calibration error {with_bounds(intervals['calibration_error'])}")
    histogram.hist(confidences, bins=NUM_BINS, range=(0, 1), color=BLUE, rwidth=0.9)
    histogram.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    positive = short(classes[-1], 40)
    x, y, unit = {
        "binary": (f"predicted probability of {positive}", f"observed share of {positive}", "cases"),
        "multilabel": ("predicted probability of a label", "observed share of the label", "cases × labels"),
    }.get(target, ("confidence in the predicted class", "share of cases that are right", "cases"))
    histogram.set_xlabel(x)
    diagram.set_ylabel(y)
    histogram.set_ylabel(unit)
    histogram.set_title(f"n = {len(confidences):,} {unit}", fontweight="normal", fontsize=10)
    return figure


def _pairs(probabilities: Floats, labels: NDArray[np.int64], target: str) -> tuple[Floats, Floats]:
    if target == "binary":
        return probabilities[:, 1], labels.astype(np.float64)
    if target == "multilabel":
        return probabilities.ravel(), labels.ravel().astype(np.float64)
    right = predicted_labels(probabilities, target) == labels
    return probabilities.max(axis=1), right.astype(np.float64)


def _diagram(axes: Axes, confidences: Floats, outcomes: Floats) -> None:
    bins = np.minimum((confidences * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    counts, sums, hits = (
        np.bincount(bins, weights=weights, minlength=NUM_BINS).astype(np.float64)
        for weights in (np.ones_like(confidences), confidences, outcomes)
    )
    used = counts > 0
    mean, observed = sums[used] / counts[used], hits[used] / counts[used]
    low, high = _wilson(observed, counts[used])
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect calibration")
    axes.vlines(
        mean,
        np.minimum(mean, observed),
        np.maximum(mean, observed),
        color=VERMILLION,
        alpha=0.35,
        linewidth=7,
    )
    errors = [np.maximum(observed - low, 0), np.maximum(high - observed, 0)]
    axes.errorbar(
        mean,
        observed,
        errors,
        fmt="o-",
        color=BLUE,
        capsize=3,
        elinewidth=1,
        label="observed, 95 % interval over cases",
    )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.legend(loc="upper left")


def _wilson(share: Floats, num: Floats, z: float = 1.96) -> tuple[Floats, Floats]:
    """Return the Wilson score interval of a binomial share (Wilson, JASA 1927)."""
    centre = (share + z**2 / (2 * num)) / (1 + z**2 / num)
    half = z / (1 + z**2 / num) * np.sqrt(share * (1 - share) / num + z**2 / (4 * num**2))
    return centre - half, centre + half

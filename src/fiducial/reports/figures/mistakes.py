"""The images on which the network is most wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fiducial.reports.figures.style import GREY, VERMILLION, middle_cut, short, styled
from fiducial.statistics import predicted_labels
from fiducial.wording import counted

COLUMNS = 6
TILE, GAP, ABOVE, BELOW, HEAD, MARGIN = 1.6, 0.14, 0.42, 0.26, 0.4, 0.1  # inches


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction: the case's row, its true and predicted class, and the probability it was called with."""

    row: int
    true: str
    predicted: str
    probability: float


def rank_mistakes(
    probabilities: ArrayLike, labels: ArrayLike, target: str, classes: Sequence[str], num: int = 24
) -> list[Mistake]:
    """Return the worst mistakes, the one with the least probability for the truth first.

    For multilabel, a case counts with the label on which it is most wrong.

    Args:
        probabilities: `(cases, classes)`.
        labels: `(cases,)`, or `(cases, classes)` for multilabel.
        target: "binary", "multiclass", "multilabel" or "ordinal".
        classes: names, in the order of their numbers.
        num: the most to return.
    """
    scores, truth = np.asarray(probabilities, np.float64), np.asarray(labels, np.int64)
    rows = np.arange(len(truth))
    predicted = predicted_labels(scores, target)
    if target == "multilabel":
        of_truth = np.where(truth == 1, scores, 1 - scores)
        label = of_truth.argmin(axis=1)
        of_truth, wrong = of_truth[rows, label], (predicted != truth)[rows, label]
    else:
        of_truth, wrong = scores[rows, truth], predicted != truth
    worst = [int(row) for row in np.argsort(of_truth, kind="stable") if wrong[row]][:num]
    if target == "multilabel":
        return [_label_mistake(row, classes[label[row]], truth[row, label[row]], of_truth[row]) for row in worst]
    return [
        Mistake(row, classes[truth[row]], classes[predicted[row]], float(scores[row, predicted[row]])) for row in worst
    ]


def _label_mistake(row: int, label: str, present: int, of_truth: float) -> Mistake:
    names = (f"no {label}", label)
    return Mistake(row, names[present], names[1 - present], 1 - float(of_truth))


@styled
def worst_mistakes(
    images: Sequence[NDArray[Any]], mistakes: Sequence[Mistake], cases: Sequence[str], *, num_cases: int
) -> Figure:
    """Draw a montage: true class, predicted class with its probability, and case id over each image.

    Volumes and sequences show their middle slice; images of one channel, or of neither one nor three, show the
    first in grey. All share one window of intensities, which is stated.

    Args:
        images: of each mistake, `(channels, *spatial)`, uint8 or float; they may differ in size.
        mistakes: from `rank_mistakes`.
        cases: id of each mistake's case.
        num_cases: how many cases were tested.
    """
    if not mistakes:
        return _no_mistakes(num_cases)
    rows = math.ceil(len(mistakes) / COLUMNS)
    width = 2 * MARGIN + COLUMNS * (TILE + GAP) - GAP
    height = HEAD + rows * (ABOVE + TILE + BELOW)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))  # one for all tiles, in inches from the upper left: many are slow to draw
    axes.set_axis_off()
    low, high = _window(images)
    axes.text(MARGIN, HEAD / 2, _headline(images, len(mistakes), num_cases, low, high), fontsize=11, va="center")
    for position, (image, mistake, case) in enumerate(zip(images, mistakes, cases, strict=True)):
        row, column = divmod(position, COLUMNS)
        left, top = MARGIN + column * (TILE + GAP), HEAD + row * (ABOVE + TILE + BELOW) + ABOVE
        _tile(axes, left, top, image, mistake, case, (low, high))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return figure


def _no_mistakes(num_cases: int) -> Figure:
    figure = Figure(figsize=(8, 1.2))
    figure.text(0.5, 0.5, f"No mistakes among {counted(num_cases, 'case')}.", ha="center", va="center")
    return figure


def _tile(
    axes: Axes,
    left: float,
    top: float,
    image: NDArray[Any],
    mistake: Mistake,
    case: str,
    window: tuple[float, float],
) -> None:
    low, high = window
    shown = np.clip((_plane(image).astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    scale = TILE / max(shown.shape[:2])
    right, bottom = left + scale * shown.shape[1], top + scale * shown.shape[0]
    extent = (left, right, bottom, top)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent, aspect="auto")
    axes.text(left, top - 0.23, f"true: {short(mistake.true, 20)}", fontsize=9, va="bottom")
    called = f"{short(mistake.predicted, 18)} {mistake.probability:.2f}"
    axes.text(left, top - 0.04, called, fontsize=9, color=VERMILLION, va="bottom")
    axes.text(left, bottom + 0.04, middle_cut(case, 24), fontsize=8, color=GREY, va="top")


def _plane(image: NDArray[Any]) -> NDArray[Any]:
    """Return what is shown of an image: `(height, width)` or `(height, width, 3)`."""
    while image.ndim > 3:
        image = image[:, image.shape[1] // 2]
    return np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]


def _window(images: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return the intensities shown as black and white: the whole range of uint8, else that of the images."""
    if all(image.dtype == np.uint8 for image in images):
        return 0.0, 255.0
    return min(float(image.min()) for image in images), max(float(image.max()) for image in images)


def _headline(images: Sequence[NDArray[Any]], num: int, num_cases: int, low: float, high: float) -> str:
    parts = [f"The worst {num} of {counted(num_cases, 'case')}", f"window {low:.4g} to {high:.4g}"]
    if any(image.ndim > 3 for image in images):
        parts.append("middle slice of the first axis")
    if any(len(image) not in (1, 3) for image in images):
        parts.append("first channel")
    return " · ".join([*parts, "in colour: what was predicted, and its probability"])

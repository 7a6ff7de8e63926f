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

from fiducial.reports.figures.style import GREY, VERMILLION, short, styled
from fiducial.statistics import predicted_labels

COLUMNS = 6


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
    figure = Figure(figsize=(10.6, 2.45 * rows + 0.55), layout="constrained")
    low, high = _window(images)
    figure.suptitle(_headline(images, len(mistakes), num_cases, low, high), fontsize=11, x=0.01, ha="left")
    for position, (image, mistake, case) in enumerate(zip(images, mistakes, cases, strict=True), start=1):
        _tile(figure.add_subplot(rows, COLUMNS, position), image, mistake, case, low, high)
    return figure


def _no_mistakes(num_cases: int) -> Figure:
    figure = Figure(figsize=(8, 1.2))
    figure.text(0.5, 0.5, f"No mistakes among {num_cases:,} cases.", ha="center", va="center")
    return figure


def _tile(axes: Axes, image: NDArray[Any], mistake: Mistake, case: str, low: float, high: float) -> None:
    shown = (_plane(image).astype(np.float32) - low) / max(high - low, 1e-6)
    axes.imshow(np.clip(shown, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(f"true: {short(mistake.true, 20)}", fontsize=9, fontweight="normal", pad=17)
    called = f"{short(mistake.predicted, 18)} {mistake.probability:.2f}"
    axes.text(0, 1.03, called, transform=axes.transAxes, fontsize=9, color=VERMILLION, va="bottom")
    axes.text(0, -0.03, _middle_cut(case, 24), transform=axes.transAxes, fontsize=8, color=GREY, va="top")


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
    parts = [f"The {num} worst of {num_cases:,} cases", f"window {low:.4g} to {high:.4g}"]
    if any(image.ndim > 3 for image in images):
        parts.append("middle slice of the first axis")
    if any(len(image) not in (1, 3) for image in images):
        parts.append("first channel")
    return " · ".join([*parts, "in colour: what was predicted, and its probability"])


def _middle_cut(text: str, length: int) -> str:
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"

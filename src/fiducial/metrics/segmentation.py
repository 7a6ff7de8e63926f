"""Scores of one case from its predicted and its true mask.

What a class gives that is missing from the truth, from the prediction, or from both:

| score | in both | only in the truth (missed) | only in the prediction (false alarm) | in neither |
|---|---|---|---|---|
| dice, iou | overlap | 0 | 0 | undefined |
| recall | overlap / truth | 0 | undefined | undefined |
| precision | overlap / prediction | undefined | 0 | undefined |
| cldice, surface_dice | as defined | 0 | 0 | undefined |
| hd95 | distance in mm | diagonal of the image in mm | diagonal of the image in mm | undefined |
| volume_error | (prediction - truth) / truth | -1 | undefined | undefined |
| auroc | area | area | undefined | undefined |

So a class that is not there and not predicted is left out of every mean, and one that is invented or missed is
never rewarded for it. A score over several classes is the mean of those that are defined, and undefined without any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fiducial.metrics.skeleton import centreline_dice
from fiducial.metrics.surface import SurfaceDistances

Score = Literal[
    "dice", "iou", "recall", "precision", "volume_error", "auroc", "hd95", "surface_dice", "cldice"
]  # fmt: skip
OVERLAP = ("dice", "iou", "recall", "precision")
DISTANCE = ("hd95", "surface_dice")
SCORES = get_args(Score)
NAN = float("nan")


@dataclass(frozen=True)
class ClassMasks:
    """One class of one case.

    Attributes:
        predicted: where it was predicted, `(*spatial)`.
        truth: where it is.
        probability: of the class, `(*spatial)`.
        region: where results count; pixels outside it belong to neither mask.
        spacing: of pixels, in mm.
        tolerance: of the surface Dice, in mm.
    """

    predicted: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    probability: NDArray[np.float32]
    region: NDArray[np.bool_]
    spacing: Sequence[float]
    tolerance: float = 1.0

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """Pixels in both masks, in the predicted one, in the true one."""
        flags = self.predicted & self.truth, self.predicted, self.truth
        both, predicted, truth = (int(np.count_nonzero(each)) for each in flags)
        return both, predicted, truth

    def score(self, name: str) -> float:
        """Return one of `SCORES`."""
        both, predicted, truth = self.counts
        if name in DISTANCE:
            return self._distance(name)
        if name == "auroc":
            return auroc(self.probability[self.region], self.truth[self.region])
        if name == "cldice":
            return self._cldice()
        ratios = {
            "dice": (2 * both, predicted + truth),
            "iou": (both, predicted + truth - both),
            "recall": (both, truth),
            "precision": (both, predicted),
            "volume_error": (predicted - truth, truth),
        }
        over, under = ratios[name]
        return over / under if under else NAN

    @cached_property
    def _distances(self) -> SurfaceDistances:
        return SurfaceDistances.between(self.predicted, self.truth, self.spacing)

    def _distance(self, name: str) -> float:
        _, predicted, truth = self.counts
        if not predicted and not truth:
            return NAN
        if not predicted or not truth:
            return 0.0 if name == "surface_dice" else diagonal(self.truth.shape, self.spacing)
        return self._distances.dice(self.tolerance) if name == "surface_dice" else self._distances.hausdorff()

    def _cldice(self) -> float:
        _, predicted, truth = self.counts
        if predicted and truth:
            return centreline_dice(self.predicted, self.truth)
        return 0.0 if predicted or truth else NAN


def case_scores(
    predicted: NDArray[np.integer],
    truth: NDArray[np.integer],
    probabilities: NDArray[np.float32],
    *,
    classes: Sequence[str],
    names: Sequence[str],
    spacing: Sequence[float],
    region: NDArray[np.bool_] | None = None,
    tolerance: float = 1.0,
) -> dict[str, float]:
    """Return scores of a case by column: the mean over classes, and each class where there are several.

    Args:
        predicted: class numbers, `(*spatial)`.
        truth: likewise.
        probabilities: `(classes, *spatial)`.
        classes: names; the first is the background, which is not scored.
        names: of the scores, out of `SCORES`.
        spacing: of pixels, in mm.
        region: where results count, `(*spatial)`; None: everywhere.
        tolerance: of the surface Dice, in mm.
    """
    inside = np.ones(truth.shape, np.bool_) if region is None else region
    each = [
        ClassMasks((predicted == k) & inside, (truth == k) & inside, probabilities[k], inside, spacing, tolerance)
        for k in range(1, len(classes))
    ]
    table = {name: [masks.score(name) for masks in each] for name in names}
    return dict(
        zip(columns(classes, names), (value for name in names for value in _with_mean(table[name])), strict=True)
    )


def columns(classes: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names of a case's scores: `dice`, and for several classes `dice/<class>`."""
    several = classes[1:] if len(classes) > 2 else ()
    return [column for name in names for column in (name, *(f"{name}/{label}" for label in several))]


def _with_mean(values: Sequence[float]) -> list[float]:
    return [mean(values), *values] if len(values) > 1 else list(values)


def mean(values: Iterable[float]) -> float:
    """Return the mean of what is defined, NaN where nothing is."""
    defined = [value for value in values if value == value]
    return sum(defined) / len(defined) if defined else NAN


def diagonal(size: Sequence[int], spacing: Sequence[float]) -> float:
    """Return the length of an image's diagonal, in mm."""
    return float(np.linalg.norm(np.multiply(size, spacing)))


def auroc(probability: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve, ties counting half; NaN where one of the two kinds is missing."""
    positives = np.count_nonzero(truth)
    negatives = truth.size - positives
    if not positives or not negatives:
        return NAN
    values, group = np.unique(probability, return_inverse=True)
    hits = np.bincount(group.ravel()[truth.ravel()], minlength=len(values)).astype(np.float64)
    misses = np.bincount(group.ravel(), minlength=len(values)) - hits
    below = np.cumsum(misses) - misses
    return float((hits * (below + misses / 2)).sum() / (positives * negatives))

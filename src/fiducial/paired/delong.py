"""The area under the ROC curve, with the errors from which its variance and covariances follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fiducial.paired.estimate import Estimate, Floats, Integers, corrected, sums, units_of_mean


def auroc(probabilities: Floats, labels: Integers, target: str, subjects: Integers) -> Estimate:
    """Return the area with errors by DeLong's placement values, summed over the cases of each subject.

    With one case a subject the covariances are those of DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988);
    with several, those of Obuchowski, Biometrics 53 (1997), except that her factor I/(I-1) of the term between
    positive and negative cases of one subject is the geometric mean of those of the other two terms. For more
    than two classes the area is the mean over classes, one against the rest, and so are the errors.

    Args:
        probabilities: `(cases, classes)`.
        labels: `(cases,)`, or 0/1 flags `(cases, classes)` for multilabel.
        target: "binary", "multiclass", "multilabel" or "ordinal".
        subjects: number of each case's subject, `(cases,)`, from 0.
    """
    flags = labels == 1 if target == "multilabel" else labels[:, None] == np.arange(probabilities.shape[1])
    shown = [1] if target == "binary" else range(probabilities.shape[1])
    parts = [
        _one_against_rest(probabilities[:, k], flags[:, k], subjects)
        for k in shown
        if 0 < flags[:, k].sum() < len(flags)
    ]
    if not parts:
        return Estimate(float("nan"), np.full(int(subjects.max()) + 1, np.nan), 0)
    return Estimate(
        value=float(np.mean([part.value for part in parts])),
        errors=np.mean([part.errors for part in parts], axis=0),
        num_units=_units(parts),
    )


def _units(parts: Sequence[Estimate]) -> float:
    variances, units = (np.array(column) for column in zip(*((p.variance, p.num_units) for p in parts), strict=True))
    if not variances.sum() > 0:  # no case varies, or of one class there is a single subject
        return float(units.min())
    return units_of_mean(variances, units)


def placements(score: Floats, truth: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return shares of the other kind: lower than each positive case, and higher than each negative one.

    A tie counts one half.
    """
    positive, negative = np.sort(score[truth]), np.sort(score[~truth])
    of_positive = _share_below(score[truth], negative)
    of_negative = 1 - _share_below(score[~truth], positive)
    return of_positive, of_negative


def _one_against_rest(score: Floats, truth: NDArray[np.bool_], subjects: Integers) -> Estimate:
    of_positive, of_negative = placements(score, truth)
    area = float(of_positive.mean())
    errors = np.zeros(int(subjects.max()) + 1)
    num_units = []
    for cases, placed in ((truth, of_positive), (~truth, of_negative)):
        deviations = np.zeros(len(score))
        deviations[cases] = (placed - area) / len(placed)
        num_units.append(len(np.unique(subjects[cases])))
        errors += corrected(sums(deviations, subjects), num_units[-1])
    return Estimate(area, errors, min(num_units))


def _share_below(score: Floats, ordered: Floats) -> Floats:
    below, through = (np.searchsorted(ordered, score, side=side) for side in ("left", "right"))
    share: Floats = (below + through) / (2 * len(ordered))
    return share

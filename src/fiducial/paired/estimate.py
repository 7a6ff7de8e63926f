"""A score with its sampling errors, in a form in which a difference is a subtraction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A score of one run, and how it varies with the subjects that happened to be tested.

    Attributes:
        value: the score.
        errors: such that the sampling covariance of two scores on the same cases is the inner product of their
            errors: a number a subject (its influence), or a number a resample (its deviation). NaN where there
            are too few subjects to tell.
        num_units: independent units behind the errors, from which degrees of freedom follow; of a mean of several
            scores no whole number.
    """

    value: float
    errors: Floats
    num_units: float

    @property
    def variance(self) -> float:
        """The sampling variance of the score."""
        return float(self.errors @ self.errors)


def mean_over_cases(values: Floats, subjects: Integers) -> Estimate:
    """Return the mean of a score that every case has by itself, its cases clustered by subject.

    The variance is the linearised one of a ratio of subjects' sums to subjects' numbers of cases; with one case
    a subject it is the usual squared standard error of a mean.

    Args:
        values: of each case, `(cases,)`; NaN where the score is undefined, and the case then left out.
        subjects: number of each case's subject, `(cases,)`, from 0.
    """
    defined = ~np.isnan(values)
    num_cases = int(defined.sum())
    value = float(values[defined].mean()) if num_cases else float("nan")
    deviations = np.where(defined, values - value, 0.0) / max(num_cases, 1)
    num_units = len(np.unique(subjects[defined]))
    return Estimate(value, corrected(sums(deviations, subjects), num_units), num_units)


def sums(values: Floats, subjects: Integers) -> Floats:
    """Return the sum of each subject's cases, `(subjects,)`."""
    return np.bincount(subjects, weights=values, minlength=int(subjects.max()) + 1).astype(np.float64)


def units_of_mean(variances: Floats, units: Floats) -> float:
    """Return the units of a mean of scores: one more than its degrees of freedom by Satterthwaite, Biometrics 2 (1946).

    A class of few subjects then costs as much as it adds to the variance.

    Args:
        variances: of the scores, `(scores,)`, or what these are proportional to.
        units: of each, above 1.
    """
    return float(1 + variances.sum() ** 2 / (variances**2 / (units - 1)).sum())


def corrected(influence: Floats, num_units: float) -> Floats:
    """Return influences scaled so that the sum of their squares estimates the variance without bias."""
    if num_units < 2:
        return np.full_like(influence, np.nan)
    scaled: Floats = influence * np.sqrt(num_units / (num_units - 1))
    return scaled

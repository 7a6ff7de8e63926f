"""Signed-rank test of subjects' means."""

from __future__ import annotations

import numpy as np

from fiducial.paired.estimate import Floats, Integers, sums

DIGITS = 12  # differences that are equal but for rounding count as ties


def wilcoxon(ours: Floats, theirs: Floats, subjects: Integers) -> float:
    """Return the two-sided p that subjects' differences are symmetric about 0; NaN if no case is left.

    Wilcoxon, Biometrics Bulletin 1 (1945), as SciPy has it, zeros handled by Pratt's method (1959).

    Args:
        ours: a score of each case, `(cases,)`; a case where either is NaN is left out.
        theirs: those of the other network.
        subjects: number of each case's subject, `(cases,)`, from 0.
    """
    defined = ~(np.isnan(ours) | np.isnan(theirs))
    if not defined.any():
        return float("nan")
    given = np.where(defined, ours - theirs, 0.0)
    counts = sums(defined.astype(np.float64), subjects)
    means = np.round(sums(given, subjects)[counts > 0] / counts[counts > 0], DIGITS)
    if not means.any():
        return 1.0
    from scipy import stats  # half a second, for those who need it

    return float(stats.wilcoxon(means, zero_method="pratt").pvalue)

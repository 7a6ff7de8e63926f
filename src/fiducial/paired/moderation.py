"""Variances between few runs, steadied by those of other settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp, inf, isfinite, log

import numpy as np
from scipy.special import digamma, polygamma

from fiducial.paired.repetition import Runs

LEAST = 3  # settings from whose variances their scatter can be told
FLOOR = 1e-5  # of the median variance: equal scores of two runs are chance


def moderate(settings: Sequence[Runs]) -> list[Runs]:
    """Return the same with variances drawn towards a common one, and the degrees of freedom that this adds.

    Three seeds tell the variance between seeds badly, and a test that rests on it alone has little power. The
    variances of many settings tell how much they truly differ: as much as chance would have it, and all count as
    one; much more, and each stands for itself. Settings with one run are left as they are, and so are all if
    fewer than three have more. Smyth, Stat. Appl. Genet. Mol. Biol. 3 (2004), sections 3 and 6.2.

    Args:
        settings: of one metric.
    """
    known = [runs for runs in settings if runs.known]
    middle = float(np.median([runs.variance for runs in known])) if len(known) >= LEAST else 0.0
    if middle <= 0:
        return list(settings)
    freedom = np.array([runs.freedom for runs in known])
    logs = np.log([max(runs.variance, FLOOR * middle) for runs in known])
    logs -= digamma(freedom / 2) - np.log(freedom / 2)
    scatter = float(logs.var(ddof=1) - polygamma(1, freedom / 2).mean())
    if scatter > 0:
        common = 2 * _inverse_trigamma(scatter)
        variance = exp(float(logs.mean()) + float(digamma(common / 2)) - log(common / 2))
    else:
        common, variance = inf, exp(float(logs.mean()))
    return [_drawn(runs, common, variance) if runs.known else runs for runs in settings]


def _drawn(runs: Runs, common: float, variance: float) -> Runs:
    if not isfinite(common):
        return replace(runs, variance=variance, freedom=inf)
    freedom = common + runs.freedom
    return replace(runs, variance=(common * variance + runs.freedom * runs.variance) / freedom, freedom=freedom)


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value by Newton's method on 1 / trigamma, which is nearly a line."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x

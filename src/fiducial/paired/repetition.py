"""Several runs of one setting: what cases and what runs add to the error of their mean, and of a difference.

Runs (seeds) are to a setting what readers are to an imaging modality: each reads the same cases, and each is one
draw from those that might have been trained. This is the analysis of Obuchowski and Rockette, Commun. Stat. Simul.
24 (1995), for readers nested in modalities, with the degrees of freedom of Hillis, Stat. Med. 26 (2007). The
variance of the mean over R runs is

    MS / R + Cov  =  [Cov + (Var - Cov) / R]  +  [MS - (Var - Cov)] / R
                      sampled cases               trained runs

where MS is the variance of the score between runs, and Var and Cov are a run's sampling variance and the sampling
covariance of two runs, both over cases. The second bracket is not let below 0. Adding MS / R to the first bracket
instead, or resampling runs and subjects together, would count the interaction of the two twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, log, nan, sqrt
from typing import Literal

import numpy as np
from scipy.special import expit, stdtr, stdtrit

from fiducial.paired.estimate import Estimate, Floats
from fiducial.statistics import exact_bounds

# What a score can be: anything; within 0 to 1; or a share of its independent units, or a mean of such shares.
Scale = Literal["any", "unit", "share"]
NORMAL = 1e9  # degrees of freedom with which t is the normal distribution
ROUNDING = 1e-12  # differences of equal scores are no greater


@dataclass(frozen=True)
class Runs:
    """How a score varies between the runs of one setting.

    Attributes:
        num: runs.
        variance: MS, of the score between runs; NaN where one run is all that is known.
        freedom: its degrees of freedom.
        interaction: Var - Cov: what of MS is due to the sampled cases.
    """

    num: int
    variance: float
    freedom: float
    interaction: float

    @property
    def known(self) -> bool:
        """Whether anything is known of another run."""
        return isfinite(self.variance)

    @property
    def excess(self) -> float:
        """What the choice of runs adds to the variance of their mean; 0 where nothing is known of it."""
        return max(self.variance - self.interaction, 0.0) / self.num if self.known else 0.0

    def uncertainty(self, share: float = 1.0) -> float:
        """Return Satterthwaite's term of MS / R, were there more cases: `share` is that of the present ones in them."""
        if not self.known:
            return 0.0
        variance = self.variance - (1 - share) * min(self.interaction, self.variance)
        return (variance / self.num) ** 2 / self.freedom


@dataclass(frozen=True)
class Effect:
    """A score, or the difference of two on the same cases, and how sure it is.

    Attributes:
        value: of the score or difference.
        variance_cases: what sampling the cases adds to its variance.
        num_units: independent units behind that.
        runs: of each setting that it is made of.
    """

    value: float
    variance_cases: float
    num_units: float
    runs: tuple[Runs, ...]

    def error(self, share: float = 1.0) -> float:
        """Return the standard error, were there more cases: `share` is that of the present ones in them."""
        variance = self.variance_cases * share + sum(runs.excess for runs in self.runs)
        return sqrt(variance) if variance >= 0 else nan

    def freedom(self, share: float = 1.0) -> float:
        """Return degrees of freedom, by Satterthwaite's rule, were there more cases."""
        if self.num_units < 2:
            return nan
        cases = (self.variance_cases * share) ** 2 / (self.num_units / share - 1)
        terms = cases + sum(runs.uncertainty(share) for runs in self.runs)
        return self.error(share) ** 4 / terms if terms > 0 else inf

    @property
    def p(self) -> float:
        """Two-sided p that it is 0; NaN where nothing varies, or too little is known."""
        error = self.error()
        if isfinite(error) and abs(self.value) <= ROUNDING:
            return 1.0
        return float(2 * stdtr(min(self.freedom(), NORMAL), -abs(self.value) / error)) if error > ROUNDING else nan

    def interval(self, confidence: float = 0.95, *, scale: Scale = "any") -> tuple[float, float]:
        """Return the bounds of its confidence interval, NaN where too little is known.

        Within 0 to 1 the interval is made on the logit scale. At an end of that, where no case tells how cases vary, a
        share has at least the exact bounds of its units, and another score has none.

        Args:
            confidence: coverage that is aimed at.
            scale: what the score can be.
        """
        half = quantile((1 + confidence) / 2, self.freedom()) * self.error()
        if not isfinite(half):
            return nan, nan
        if scale == "any":
            return self.value - half, self.value + half
        end = 0 if self.value <= ROUNDING else 1 if self.value >= 1 - ROUNDING else None
        if end is None:
            middle, half = log(self.value / (1 - self.value)), half / (self.value * (1 - self.value))
            return float(expit(middle - half)), float(expit(middle + half))
        if scale == "unit":
            return nan, nan
        low, high = exact_bounds(end, self.num_units, confidence)
        return max(0.0, min(low, end - half)), min(1.0, max(high, end + half))


@dataclass(frozen=True)
class Pooled:
    """The mean of a score over the runs of one setting.

    Attributes:
        value: the mean.
        errors: sampling errors of the mean over cases, as in `Estimate`.
        num_units: independent units behind them.
        runs: how it varies between runs.
    """

    value: float
    errors: Floats
    num_units: float
    runs: Runs

    @property
    def effect(self) -> Effect:
        """The mean, and how sure it is."""
        return Effect(self.value, float(self.errors @ self.errors), self.num_units, (self.runs,))


def pool(estimates: Sequence[Estimate]) -> Pooled:
    """Return the mean over the runs of one setting."""
    num = len(estimates)
    values = np.array([estimate.value for estimate in estimates])
    errors = np.stack([estimate.errors for estimate in estimates])
    mean = errors.mean(axis=0)
    runs = Runs(num, nan, 0.0, 0.0)
    if num > 1:
        interaction = ((errors**2).sum() - num * (mean @ mean)) / (num - 1)
        runs = Runs(num, float(values.var(ddof=1)), num - 1, float(interaction))
    return Pooled(float(values.mean()), mean, min(estimate.num_units for estimate in estimates), runs)


def difference(ours: Pooled, theirs: Pooled) -> Effect:
    """Return ours minus theirs, both on the same cases."""
    errors = ours.errors - theirs.errors
    num_units = min(ours.num_units, theirs.num_units)
    return Effect(ours.value - theirs.value, float(errors @ errors), num_units, (ours.runs, theirs.runs))


def quantile(probability: float, freedom: float) -> float:
    """Return a quantile of Student's t."""
    return float(stdtrit(min(freedom, NORMAL), probability))

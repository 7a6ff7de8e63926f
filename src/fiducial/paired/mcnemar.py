"""Two networks' right and wrong answers on the same cases."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln, ndtr

from fiducial.paired.estimate import Floats, Integers, sums

MOST_EXACT = 1000  # discordant subjects; beyond, the normal approximation is as good


def mcnemar(ours: Floats, theirs: Floats, subjects: Integers) -> float:
    """Return the two-sided p that both are right equally often.

    If they are, then a subject's answers might as well have come from the two networks the other way round: the
    sign of each subject's difference, right answers of ours minus theirs, is that of a coin. The distribution of
    their sum is computed exactly, which with one case a subject is McNemar's exact (binomial) test; McNemar,
    Psychometrika 12 (1947). For several cases a subject and many subjects it tends to Obuchowski's, Stat. Med. 17
    (1998).

    Args:
        ours: 1 where right, 0 where wrong, NaN where it does not count, `(cases,)`.
        theirs: those of the other network.
        subjects: number of each case's subject, `(cases,)`, from 0.
    """
    if np.isnan(ours - theirs).all():
        return math.nan  # no case counts
    differences = _differences(ours, theirs, subjects)
    discordant = np.abs(differences[differences != 0])
    total = abs(int(differences.sum()))
    if len(discordant) > MOST_EXACT:
        return float(2 * ndtr(-total / np.sqrt((discordant**2).sum())))
    chances = _sum_of_coins(discordant)
    distance = np.abs(np.arange(len(chances)) - len(chances) // 2)
    return min(float(chances[distance >= total].sum()), 1.0)


def num_discordant(ours: Floats, theirs: Floats, subjects: Integers) -> int:
    """Return the number of subjects of whom one network has more right answers than the other; see `mcnemar`."""
    return int((_differences(ours, theirs, subjects) != 0).sum())


def discordant_needed(level: float) -> int:
    """Return how many discordant subjects it takes at least for a p below a level: all in favour of one network."""
    return int(np.log2(2 / level)) + 1


def _differences(ours: Floats, theirs: Floats, subjects: Integers) -> Integers:
    return np.rint(sums(np.nan_to_num(ours - theirs), subjects)).astype(np.int64)


def _sum_of_coins(sizes: Integers) -> Floats:
    """Return the probabilities of `-sum … sum` for the sum of `sizes` with random signs."""
    chances = np.ones(1)
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        heads = np.arange(count + 1)
        binomial = np.exp(gammaln(count + 1) - gammaln(heads + 1) - gammaln(count - heads + 1) - count * np.log(2))
        spread = np.zeros(2 * size * count + 1)
        spread[:: 2 * size] = binomial
        chances = np.convolve(chances, spread)
    return chances

"""How many cases it would take to tell."""

from __future__ import annotations

from math import inf

from fiducial.paired.repetition import Effect, quantile

POWER = 0.8
SMALLEST = 1e-9  # share of the present cases in those that would be needed
STEPS = 30  # of a bisection: to 1e-8 of the number


def cases_needed(difference: Effect, num_cases: int, level: float, power: float = POWER) -> float:
    """Return the number of cases at which a difference of this size would be told from none.

    More cases shrink the share of the variance that is due to cases and leave that due to the choice of runs, of
    which more cases teach nothing. The standard error must fall so far that the difference exceeds the error times
    the sum of two quantiles of t, for the level and for the power; with many units and one run each this is the
    usual normal formula, as in Obuchowski and McClish, Stat. Med. 16 (1997).

    Args:
        difference: that was seen.
        num_cases: that were tested.
        level: of the two-sided test.
        power: chance to see a difference of this size.

    Returns:
        The number, no less than `num_cases`; infinite if no number of cases would do, because the choice of runs
        alone hides the difference.
    """

    def tells(share: float) -> bool:
        freedom = difference.freedom(share)
        factor = quantile(1 - level / 2, freedom) + quantile(power, freedom)
        return abs(difference.value) >= factor * difference.error(share)

    if tells(1.0):
        return float(num_cases)
    few, many = 1.0, SMALLEST
    if not tells(many):
        return inf if any(runs.excess > 0 for runs in difference.runs) else num_cases / many
    for _ in range(STEPS):
        middle = (few * many) ** 0.5
        few, many = (few, middle) if tells(middle) else (middle, many)
    return num_cases / many

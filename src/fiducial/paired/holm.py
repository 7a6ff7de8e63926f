"""Many tests at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Holm:
    """One test among many.

    Attributes:
        adjusted: p, to be compared with the level of the whole family; NaN where p was.
        level: the level to which this test was held.
    """

    adjusted: float
    level: float


def holm(p: Sequence[float], level: float = 0.05) -> list[Holm]:
    """Return each test's adjusted p; the chance of any false claim in the family is then at most `level`.

    A test whose p is NaN could not be made, and is no member of the family. Holm, Scand. J. Stat. 6 (1979).
    """
    values = np.asarray(p, np.float64)
    order = [int(n) for n in np.argsort(values, kind="stable") if not np.isnan(values[n])]
    results = [Holm(float("nan"), level)] * len(values)
    highest = 0.0
    for rank, number in enumerate(order):
        others = len(order) - rank
        highest = max(highest, min(float(values[number]) * others, 1.0))
        results[number] = Holm(highest, level / others)
    return results

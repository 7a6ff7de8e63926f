"""Splits by subject: no subject's images fall into two splits, and classes keep their proportions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fiducial.data.source import SPLITS
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def check_fractions(fractions: Sequence[float]) -> tuple[float, float, float]:
    """Return the fractions of train, val and test as a tuple.

    Raises:
        InputError: they are not three positive numbers that sum to 1.
    """
    values = tuple(float(fraction) for fraction in fractions)
    if len(values) != len(SPLITS) or min(values) <= 0 or abs(sum(values) - 1) > 1e-6:
        raise InputError(
            f"fractions: expected three positive numbers that sum to 1, for {', '.join(SPLITS)}; got {list(values)}"
        )
    return values[0], values[1], values[2]


def by_subject(
    subject: NDArray[np.str_],
    label: NDArray[np.int64],
    *,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
) -> NDArray[np.str_]:
    """Draw a split for every subject, stratified by label.

    Subjects are put in a row: strata one after the other, in random order within a stratum. Each in turn
    goes to the split that is furthest behind its fraction, so every stratum, and the whole, is within
    about one subject of the fractions. The result depends on subject ids, labels and seed alone, not on
    the order of the cases.

    Args:
        subject: subject id of each case, `(cases,)`.
        label: class number `(cases,)`, or 0/1 flags `(cases, classes)`.
        fractions: share of subjects in train, val and test.
        seed: seed of the draw.

    Returns:
        "train", "val" or "test" for each case, `(cases,)`.

    Raises:
        InputError: bad fractions, or fewer than three subjects.
    """
    import numpy as np

    shares = np.array(check_fractions(fractions))
    names, member = np.unique(subject, return_inverse=True)
    if len(names) < len(SPLITS):
        raise InputError(
            f"splitting by subject needs at least {len(SPLITS)} subjects, got {len(names)}: "
            "give a column or folders with the split, or tell subjects apart"
        )
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), _strata(member, label)))
    drawn = np.empty(len(names), dtype=np.int64)
    counts = np.zeros(len(SPLITS))
    for position, name in enumerate(order, start=1):
        drawn[name] = np.argmax(shares * position - counts)
        counts[drawn[name]] += 1
    return np.array(SPLITS)[drawn][member]


def _strata(member: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one stratum number per subject: the rarest label that any of its cases has."""
    import numpy as np

    flags = label if label.ndim == 2 else label[:, None] == np.unique(label)
    of_subject = np.zeros((member.max() + 1, flags.shape[1]), dtype=bool)
    np.logical_or.at(of_subject, member, flags.astype(bool))
    frequency = of_subject.sum(axis=0)
    rarity = np.where(of_subject, frequency, len(of_subject) + 1)
    stratum: NDArray[np.int64] = np.where(of_subject.any(axis=1), rarity.argmin(axis=1), flags.shape[1])
    return stratum

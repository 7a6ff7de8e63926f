"""Splits by subject: no subject's images fall into two splits, and classes keep their proportions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fiducial.data.source import SPLITS, Cases
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


def fold_of_subjects(
    subject: NDArray[np.str_], label: NDArray[np.int64], *, num_folds: int, seed: int = 0
) -> NDArray[np.int64]:
    """Draw a fold for every subject, stratified by label; the folds differ by at most one subject.

    Like `by_subject`, the result depends on subject ids, labels and seed alone.

    Args:
        subject: subject id of each case, `(cases,)`.
        label: class number `(cases,)`, or 0/1 flags `(cases, classes)`.
        num_folds: number of folds.
        seed: seed of the draw.

    Returns:
        The fold of each case, 0 to `num_folds` - 1, `(cases,)`.

    Raises:
        InputError: fewer than two folds, or more than there are subjects.
    """
    import numpy as np

    names, member = np.unique(subject, return_inverse=True)
    if not 2 <= num_folds <= len(names):
        raise InputError(f"data.num_folds: expected 2 to {len(names)}, the number of subjects; got {num_folds}")
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), _strata(member, label)))
    fold = np.empty(len(names), dtype=np.int64)
    fold[order] = np.arange(len(names)) % num_folds
    return fold[member]


def with_fold(cases: Cases, fold: int, num_folds: int, *, test: bool = False) -> Cases:
    """Return cases of which one fold validates, and the others train.

    The folds do not follow the run's seed: runs of different seeds on one fold have the same cases.

    Args:
        cases: with the splits of their source.
        fold: number of the fold.
        num_folds: into which the cases that are not tested are divided.
        test: divide all cases instead, and test those of the fold; those of the next one validate.

    Raises:
        InputError: there is no such fold, or none is left to train on.
    """
    import numpy as np

    if not 0 <= fold < num_folds:
        raise InputError(f"data.fold: expected 0 to {num_folds - 1}, for data.num_folds={num_folds}; got {fold}")
    if test and num_folds < len(SPLITS):
        raise InputError(
            f"data.test_folds=true tests one fold and validates with the next: expected data.num_folds={len(SPLITS)} "
            f"or more, got {num_folds}"
        )
    rows = np.arange(len(cases)) if test else np.flatnonzero(cases.split != "test")
    chosen = fold_of_subjects(cases.subject[rows], cases.label[rows], num_folds=num_folds)
    split = np.full(len(cases), "test", dtype=cases.split.dtype)
    split[rows] = np.where(chosen == (fold + test) % num_folds, "val", "train")
    if test:
        split[chosen == fold] = "test"
    return replace(cases, split=split)

"""What a table of cases must satisfy before anything is learned from it."""

from __future__ import annotations

import numpy as np

from fiducial.data.source import SPLITS, Cases, Spec
from fiducial.errors import InputError

SHOWN = 5  # offenders that an error names


def check(cases: Cases, spec: Spec) -> None:
    """Refuse a table that would give a wrong result.

    Raises:
        InputError: an empty split, a label outside its range, a subject in two splits, a case id used twice.
    """
    _check_splits(cases)
    _check_labels(cases, spec)
    _check_ids(cases)
    _check_subjects(cases)


def _check_splits(cases: Cases) -> None:
    empty = [split for split in SPLITS if not len(cases.where(split))]
    if empty:
        raise InputError(f"every split needs cases; none are in {', '.join(empty)} (of {len(cases)} in all)")


def _check_labels(cases: Cases, spec: Spec) -> None:
    highest = 1 if spec.target == "multilabel" else spec.num_classes - 1
    wrong = ((cases.label < 0) | (cases.label > highest)).reshape(len(cases), -1).any(axis=1)
    if wrong.any():
        named = [f"{cases.case[row]}: {cases.label[row]}" for row in np.flatnonzero(wrong)]
        raise InputError(f"labels must be 0 to {highest}; {_some(named)}")


def _check_ids(cases: Cases) -> None:
    names, counts = np.unique(cases.case, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"case ids must be unique; used more than once: {_some(names[counts > 1].tolist())}")


def _check_subjects(cases: Cases) -> None:
    splits_of: dict[str, dict[str, None]] = {}
    for subject, split in zip(cases.subject.tolist(), cases.split.tolist(), strict=True):
        splits_of.setdefault(subject, {})[split] = None
    shared = [f"{subject} ({', '.join(splits)})" for subject, splits in splits_of.items() if len(splits) > 1]
    if shared:
        raise InputError(f"a subject must be in one split only; {_some(shared)}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"

"""What a table of cases must satisfy before anything is learned from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fiducial.data.source import SPLITS, Cases, Spec
from fiducial.errors import InputError

SHOWN = 5  # offenders that an error names


def check(
    cases: Cases,
    spec: Spec,
    *,
    allow_shared_subjects: bool = False,
    place: Path | str | None = None,
    alone: bool = False,
) -> None:
    """Refuse a table that would give a wrong result.

    Args:
        cases: the table.
        spec: what images are like.
        allow_shared_subjects: take a subject in several splits.
        place: the file that says which subject and split a case has, if any.
        alone: nothing is learned from the cases, so that a split may be empty.

    Raises:
        InputError: an empty split, a label outside its range, a subject in two splits, a case id used twice.
    """
    if not alone:
        _check_splits(cases)
    _check_labels(cases, spec)
    _check_ids(cases)
    if not allow_shared_subjects and (shared := shared_subjects(cases)):
        where = f"{place}: " if place else ""
        raise InputError(
            f"{where}a subject must be in one split only; {some(shared)}. Give its cases one split, or allow it by "
            "name: data.allow=[shared_subjects]"
        )


def _check_splits(cases: Cases) -> None:
    empty = [split for split in SPLITS if not len(cases.where(split))]
    if empty:
        raise InputError(f"every split needs cases; none are in {', '.join(empty)} (of {len(cases)} in all)")


def _check_labels(cases: Cases, spec: Spec) -> None:
    highest = 1 if spec.target == "multilabel" else max(0, spec.num_classes - 1)
    wrong = ((cases.label < 0) | (cases.label > highest)).reshape(len(cases), -1).any(axis=1)
    if wrong.any():
        named = [f"{cases.case[row]}: {cases.label[row]}" for row in np.flatnonzero(wrong)]
        raise InputError(f"labels must be 0 to {highest}; {some(named)}")


def _check_ids(cases: Cases) -> None:
    names, counts = np.unique(cases.case, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"case ids must be unique; used more than once: {some(names[counts > 1].tolist())}")


def shared_subjects(cases: Cases) -> list[str]:
    """Return the subjects that are in more than one split, each with its splits."""
    splits_of: dict[str, dict[str, None]] = {}
    for subject, split in zip(cases.subject.tolist(), cases.split.tolist(), strict=True):
        splits_of.setdefault(subject, {})[split] = None
    return [f"{subject} ({', '.join(splits)})" for subject, splits in splits_of.items() if len(splits) > 1]


def some(names: list[str]) -> str:
    """Return the first few of several names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"

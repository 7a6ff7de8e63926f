"""Scores of boxes with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fiducial.metrics.boxes import CaseBoxes, Hit
from fiducial.metrics.detection import RATES, DetectionScorer, Froc, called_scores
from fiducial.reports.case_scores import CaseScores
from fiducial.statistics import Interval, percentile_interval, resampled_weights


def detection_intervals(
    cases: Sequence[CaseBoxes],
    subjects: NDArray[np.str_],
    classes: Sequence[str],
    rule: Hit,
    *,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return every score with its percentile bootstrap interval over subjects.

    Subjects are drawn with replacement, and with a subject come all of its cases. One subject has no interval. Where
    all boxes are found without a false one, or none is, sensitivities have the exact bounds of the subjects with boxes.

    Args:
        cases: of boxes.
        subjects: of each case, `(cases,)`.
        classes: names of the kinds of objects.
        rule: what hits, see `fiducial.metrics.boxes.hits`.
        num_resamples: more give steadier bounds.
        confidence: coverage that is aimed at, in (0, 1).
        seed: the same seed gives the same bounds.
    """
    scorer = DetectionScorer(cases, classes, rule)
    names, subject_of_case = np.unique(subjects, return_inverse=True)
    chunks = [scorer(weights) for weights in resampled_weights(subject_of_case, num_resamples, seed)]
    units = {
        name: _units(cases if part is None else [case.of(classes.index(part)) for case in cases], subject_of_case, base)
        for name, base, part in map(_parts, chunks[0])
    }
    return {
        name: percentile_interval(
            float(values[0]),
            np.concatenate([chunk[name] for chunk in chunks]),
            len(names),
            confidence,
            units=units[name],
        )
        for name, values in scorer().items()
    }


def _parts(name: str) -> tuple[str, str, str | None]:
    """Return a score's name, what it is of all classes, and the class that it is of."""
    base, _, part = name.partition("/")
    return name, base, part or None


def _units(cases: Sequence[CaseBoxes], subjects: NDArray[np.int64], base: str) -> int | None:
    """Return how many subjects a share is about; None where the score is no share."""
    positive = np.array([len(case.truth) > 0 for case in cases])
    counts = [len(np.unique(subjects[flags])) for flags in (positive, ~positive)]
    if base == "image_auroc":
        return max(min(*counts, len(np.unique(subjects)) // 2), 1)
    return max(counts[0], 1) if base == "cpm" or base.startswith("sensitivity") else None


def scored_cases(
    cases: Sequence[CaseBoxes],
    names: tuple[NDArray[np.str_], NDArray[np.str_], NDArray[np.str_]],
    threshold: float,
    rule: Hit,
) -> CaseScores:
    """Return what a case alone has of scores.

    `sensitivity` is the mean over LUNA16's seven rates of false positives of the share of the case's boxes that are
    found; f1, recall, precision and false_positives are of the boxes that are called.

    Args:
        cases: of boxes.
        names: case, subject and split of each, `(cases,)`.
        threshold: score from which a box is called.
        rule: what hits.
    """
    called = [called_scores(case, threshold, rule) for case in cases]
    scores = {"sensitivity": Froc(cases, rule).share_found(RATES)}
    scores |= {name: np.array([values[name] for values in called], np.float64) for name in called[0]}
    return CaseScores(*names, scores)

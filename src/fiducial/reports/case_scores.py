"""Scores of each case, where a case alone has one: masks, boxes, images.

case, subject, split, then a column a score; an empty field is an undefined score
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fiducial.statistics import SHARES, Interval, percentile_interval, resampled_weights


@dataclass(frozen=True)
class CaseScores:
    """Scores, one entry per case in each column.

    Attributes:
        case: unique id, `(cases,)`.
        subject: the patient, `(cases,)`.
        split: "train", "val" or "test", `(cases,)`.
        scores: by name, `(cases,)`; NaN where a score is undefined.
    """

    case: NDArray[np.str_]
    subject: NDArray[np.str_]
    split: NDArray[np.str_]
    scores: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.case)


def write_case_scores(path: Path, table: CaseScores) -> None:
    """Write the table, whole or not at all."""
    columns = [table.case.tolist(), table.subject.tolist(), table.split.tolist()]
    columns += [["" if v != v else f"{v:.9g}" for v in values.tolist()] for values in table.scores.values()]
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "subject", "split", *table.scores])
        writer.writerows(zip(*columns, strict=True))
    partial.replace(path)


def mean_intervals(
    table: CaseScores, *, num_resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """Return the mean of each score over the cases that have one, with its percentile bootstrap interval.

    Subjects are drawn with replacement, and with a subject come all of its cases. A score that no case has, or no
    case of a resample, is undefined there; one that a single subject has is without bounds. Efron and Tibshirani,
    An Introduction to the Bootstrap, 1993, chapter 13. A share that is 1, or 0, in every case has the exact bounds of
    that many subjects; another score that no resample changes has none.

    Args:
        table: of at least one case.
        num_resamples: more give steadier bounds.
        confidence: coverage that is aimed at, in (0, 1).
        seed: the same seed gives the same bounds.
    """
    values = np.stack(list(table.scores.values()), axis=1)
    defined = ~np.isnan(values)
    known = np.where(defined, values, 0.0)
    _, subject_of_case = np.unique(table.subject, return_inverse=True)
    chunks = [
        _ratio(weights @ known, weights @ defined.astype(np.float64))
        for weights in resampled_weights(subject_of_case, num_resamples, seed)
    ]
    resampled, means = np.concatenate(chunks), _ratio(known.sum(0), defined.sum(0).astype(np.float64))
    subjects = [len(np.unique(table.subject[flags])) for flags in defined.T]
    return {
        name: percentile_interval(
            float(means[number]),
            resampled[:, number],
            subjects[number],
            confidence,
            units=subjects[number] if name.partition("/")[0] in SHARES else None,
        )
        for number, name in enumerate(table.scores)
    }


def _ratio(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    result = np.full_like(over, np.nan)
    np.divide(over, under, out=result, where=under > 0)
    return result

"""What a task predicted for the cases of one split, and how well: a class for each kind of prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fiducial.data.module import DataModule
from fiducial.statistics import Interval
from fiducial.tasks.base import Task


class Results(ABC):
    """Predictions and scores of the split that was tested last.

    Attributes:
        subject: of each case, `(cases,)`.
        split: its name.
        intervals: scores with bootstrap intervals over subjects.
        files: names of the tables that are written.
    """

    subject: NDArray[np.str_]
    split: str
    intervals: Mapping[str, Interval]
    files: ClassVar[tuple[str, ...]]

    @property
    def facts(self) -> dict[str, Any]:
        """What else `scores.json` says."""
        return {}

    @abstractmethod
    def write(self, out: Path) -> None:
        """Write the tables into a folder."""

    @abstractmethod
    def pictures(self, data: DataModule) -> dict[str, Figure]:
        """Return figures by name."""


def extremes(order: Sequence[int]) -> dict[str, int]:
    """Return the best, the median and the worst of cases in order, each case once.

    >>> extremes([7, 5, 3, 1]), extremes([7, 5]), extremes([7]), extremes([])
    ({'best': 7, 'median': 3, 'worst': 1}, {'best': 7, 'worst': 5}, {'only case': 7}, {})
    """
    if len(order) < 2:
        return {"only case": order[0]} if order else {}
    middle = {"median": order[len(order) // 2]} if len(order) > 2 else {}
    return {"best": order[0], **middle, "worst": order[-1]}


def results_of(task: Task, data: DataModule, out: Path, *, seed: int) -> Results:
    """Return what a task predicted for the split that it was tested on last; `out` is where it was tested."""
    if data.spec.target == "mask":
        from fiducial.runs.segmented import Segmented

        return Segmented.of(task, data, out, seed=seed)
    if data.spec.target == "boxes":
        from fiducial.runs.detected import Detected

        return Detected.of(task, data, seed=seed)
    from fiducial.runs.classified import Classified

    return Classified.of(task, data, seed=seed)

"""Boxes of images: as JSON, with scores of all cases and of each, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fiducial.data.boxed import BoxedSource
from fiducial.data.boxes import Boxes, Frame
from fiducial.data.module import DataModule
from fiducial.metrics.boxes import CaseBoxes, Hit
from fiducial.metrics.detection import RATES, Froc
from fiducial.reports.case_scores import CaseScores, mean_intervals, write_case_scores
from fiducial.reports.detection_scores import detection_intervals, scored_cases
from fiducial.reports.detections import CaseDetections, write_detections
from fiducial.reports.figures.froc import froc
from fiducial.reports.figures.style import middle_cut
from fiducial.runs.box_pictures import picture
from fiducial.runs.results import Results, extremes
from fiducial.tasks.base import Task
from fiducial.tasks.detection import boxes_of

if TYPE_CHECKING:
    from fiducial.tasks.detection import Detection

CASE_SCORES, DETECTIONS = "case_scores.csv", "detections.json"


class Detected(Results):
    """Boxes that were found in each case.

    Args:
        rows: of the cases in the source's table, `(cases,)`.
        cases: what was found and what is there, in pixels as the network sees them.
        table: scores of each case alone.
        classes: names of the kinds of objects.
        rule: what counts as found.
        threshold: score from which boxes are called.
        source: of the cases.
        seed: of the intervals.
    """

    files = (CASE_SCORES, DETECTIONS)

    def __init__(
        self,
        rows: NDArray[np.int64],
        cases: Sequence[CaseBoxes],
        table: CaseScores,
        *,
        classes: Sequence[str],
        rule: Hit,
        threshold: float,
        source: BoxedSource,
        seed: int,
    ) -> None:
        self.rows, self.cases, self.table, self.classes = rows, cases, table, tuple(classes)
        self.rule, self.threshold, self.source = rule, threshold, source
        self.subject, self.split = table.subject, str(table.split[0])
        of_all = detection_intervals(cases, table.subject, classes, rule, seed=seed)
        of_each = mean_intervals(table, seed=seed)
        self.intervals = {**of_all, **{name: value for name, value in of_each.items() if name != "sensitivity"}}

    @classmethod
    def of(cls, task: Task, data: DataModule, *, seed: int) -> Detected:
        """Return what a task predicted."""
        detection: Detection = task  # type: ignore[assignment]
        assert isinstance(data.source, BoxedSource)
        rows, found = task.predictions["row"].numpy(), boxes_of(task.predictions)
        names = (data.cases.case[rows], data.cases.subject[rows], data.cases.split[rows])
        threshold = detection.chosen_threshold
        return cls(
            rows,
            found,
            scored_cases(found, names, threshold, detection.hit),
            classes=detection.classes,
            rule=detection.hit,
            threshold=threshold,
            source=data.source,
            seed=seed,
        )

    @property
    def facts(self) -> dict[str, Any]:
        """When a box is found, and from which score on boxes are called."""
        return {"hit": self.rule, "threshold": self.threshold}

    def write(self, out: Path) -> None:
        """Write the boxes and the table of scores."""
        write_case_scores(out / CASE_SCORES, self.table)
        dims = self.source.spec.spatial_dims
        cases = [self._detections(place) for place in range(len(self.cases))]
        write_detections(out / DETECTIONS, cases, classes=self.classes, threshold=self.threshold, dims=dims)

    def _detections(self, place: int) -> CaseDetections:
        row, case = int(self.rows[place]), self.cases[place]
        frame, table = self.source.frame(row), self.table
        corners, size = np.asarray(case.found, np.float32), self.source.size_of(row)
        return CaseDetections(
            case=str(table.case[place]),
            size=size,
            frame=frame,
            found=Boxes(frame.own(corners, size), case.label),
            score=case.score,
            truth=self.source.truth(row),
            subject=str(table.subject[place]),
            split=str(table.split[place]),
        )

    def pictures(self, data: DataModule) -> dict[str, Figure]:
        """Return the FROC curve, and boxes over the best, the median and the worst case."""
        curves = {"all classes" if len(self.classes) > 1 else self.classes[0]: _curve(self.cases, self.rule)}
        for number, name in enumerate(self.classes if len(self.classes) > 1 else ()):
            curves[name] = _curve([case.of(number) for case in self.cases], self.rule)
        found = {"froc": froc(curves, self.intervals, RATES, in_words(self.rule))}
        chosen = self._chosen()
        if not chosen:
            return found
        return {**found, "boxes": picture([(title, *self._shown(place)) for title, place in chosen], self.classes)}

    def _chosen(self) -> list[tuple[str, int]]:
        """Return title and place of the best, the median and the worst case by F1 that have a box."""
        f1, there = self.table.scores["f1"], np.array([len(case.truth) for case in self.cases])
        order = [place for place in np.lexsort((-there, -f1)).tolist() if there[place] and np.isfinite(f1[place])]
        return [
            (f"{rank}: {middle_cut(str(self.table.case[place]), 30)}\nF1 {f1[place]:.3f}", place)
            for rank, place in extremes(order).items()
        ]

    def _shown(self, place: int) -> tuple[NDArray[Any], CaseBoxes, Frame]:
        row = int(self.rows[place])
        return self.source.read(row), self.cases[place].above(self.threshold), self.source.frame(row)


def _curve(cases: Sequence[CaseBoxes], rule: Hit) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    false, found = Froc(cases, rule).curve()
    return false[0], found[0]


def in_words(rule: Hit) -> str:
    """Return what counts as found as a person would say it."""
    return "its centre lies in the box" if rule == "centre" else f"it overlaps the box by {rule:g} or more"

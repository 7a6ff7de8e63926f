"""Masks of images: a table of scores by case, the masks beside it, and their pictures."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fiducial.data.masked import MaskedSource
from fiducial.data.module import DataModule
from fiducial.data.sample import Sample
from fiducial.data.volumes import PREDICTIONS, file_name, mask_file, read_mask
from fiducial.metrics.segmentation import columns
from fiducial.objective import SIGNED, lower_is_better
from fiducial.reports.case_scores import CaseScores, mean_intervals, write_case_scores
from fiducial.reports.figures.anatomical import three_planes
from fiducial.reports.figures.class_scores import class_scores
from fiducial.reports.figures.overlay import View, overlays, planes
from fiducial.reports.figures.style import middle_cut
from fiducial.runs.results import Results, extremes
from fiducial.tasks.base import Task

if TYPE_CHECKING:
    from fiducial.tasks.segmentation import Segmentation

CASE_SCORES = "case_scores.csv"


class Segmented(Results):
    """Scores of each case's mask.

    Args:
        table: the scores.
        out: folder in which the masks lie.
        corrections: what was corrected in them, by class.
        threshold: above which the second of two classes was called; None for several.
        observers: scores of masks of the same cases by other people, by name.
        seed: of the intervals.
    """

    files = (CASE_SCORES,)

    def __init__(
        self,
        table: CaseScores,
        out: Path,
        corrections: dict[str, str],
        threshold: float | None,
        observers: dict[str, CaseScores],
        *,
        seed: int,
    ) -> None:
        self.table, self.out, self.corrections, self.threshold = table, out, corrections, threshold
        self.observers, self.seed = observers, seed
        self.subject, self.split = table.subject, str(table.split[0])
        self.intervals = mean_intervals(table, seed=seed)

    @classmethod
    def of(cls, task: Task, data: DataModule, out: Path, *, seed: int) -> Segmented:
        """Return what a task predicted."""
        segmentation: Segmentation = task  # type: ignore[assignment]
        rows = task.predictions["row"].numpy()
        names = columns(segmentation.classes, segmentation.names)
        values = task.predictions["case_scores"].double().numpy()
        cases = data.cases
        scores = {name: np.ascontiguousarray(values[:, number]) for number, name in enumerate(names)}
        table = CaseScores(cases.case[rows], cases.subject[rows], cases.split[rows], scores)
        corrections = dict(zip(segmentation.classes[1:], segmentation.corrections, strict=True))
        threshold = segmentation.chosen_threshold if segmentation.num_classes == 2 else None
        return cls(table, out, corrections, threshold, _observers(segmentation, data, rows.tolist()), seed=seed)

    @property
    def facts(self) -> dict[str, Any]:
        """What was corrected in the masks of each class, and how well other people agree with the truth."""
        facts: dict[str, Any] = {"postprocessing": self.corrections}
        if self.threshold is not None:
            facts["threshold"] = self.threshold
        if self.observers:
            facts["observers"] = {
                name: {score: asdict(interval) for score, interval in mean_intervals(table, seed=self.seed).items()}
                for name, table in self.observers.items()
            }
        return facts

    def write(self, out: Path) -> None:
        """Write the tables of scores; the masks are there already."""
        write_case_scores(out / CASE_SCORES, self.table)
        for name, table in self.observers.items():
            write_case_scores(out / f"case_scores_{name.replace(' ', '_')}.csv", table)

    def pictures(self, data: DataModule) -> dict[str, Figure]:
        """Return how scores spread, and overlays of the best, the median and the worst case."""
        chosen, classes = self._chosen(data), data.spec.classes
        assert isinstance(data.source, MaskedSource)
        unit = "pixels" if data.source.sample(0).affine is None else "mm"
        found = {"class_scores": class_scores(self.table.scores, classes[1:], unit)}
        if not chosen:
            return found
        if data.spec.spatial_dims == 2:
            return {**found, "overlays": overlays([self._picture(title, row, data) for title, row in chosen], classes)}
        cut = [(title, self._planes(row, data)) for title, row in chosen]
        flat = [replace(views[0], title=f"{title}, {views[0].title}") for title, views in cut]
        return {**found, "overlays": overlays(flat, classes), "planes": planes(cut, classes)}

    def _chosen(self, data: DataModule) -> list[tuple[str, int]]:
        """Return title and row of the best, the median and the worst case that have a score and a mask."""
        name, values = next(iter(self.table.scores.items()))
        order = best_first(name, values)
        row_of = {case: row for row, case in enumerate(data.cases.case.tolist())}
        return [
            (_title(rank, str(self.table.case[place]), name, values[place]), row_of[str(self.table.case[place])])
            for rank, place in extremes(order).items()
        ]

    def _masks(self, row: int, data: DataModule) -> tuple[Sample, NDArray[np.uint8], NDArray[np.uint8]]:
        """Return a case, its true and its predicted mask."""
        assert isinstance(data.source, MaskedSource)
        sample = data.source.sample(row)
        file = mask_file(self.out / PREDICTIONS / file_name(str(data.cases.case[row])), sample.affine)
        assert sample.mask is not None
        return sample, sample.mask, read_mask(file)

    def _picture(self, title: str, row: int, data: DataModule) -> View:
        sample, truth, predicted = self._masks(row, data)
        image = np.moveaxis(sample.image, 0, -1) if len(sample.image) == 3 else sample.image[0]
        return View(title, image, truth, predicted, sample.region)

    def _planes(self, row: int, data: DataModule) -> tuple[View, ...]:
        sample, truth, predicted = self._masks(row, data)
        assert sample.affine is not None
        return three_planes(sample.image[0], truth, predicted, sample.affine, sample.region)


def best_first(name: str, values: NDArray[np.float64]) -> list[int]:
    """Return the numbers of the cases that have a score, the best one first."""
    falls = name in SIGNED or lower_is_better(name)
    order = np.argsort(np.abs(values) if falls else -values, kind="stable").tolist()
    return [number for number in order if np.isfinite(values[number])]


def _observers(task: Segmentation, data: DataModule, rows: list[int]) -> dict[str, CaseScores]:
    """Score the masks that other people gave of the cases, as a prediction is scored."""
    assert isinstance(data.source, MaskedSource)
    names = [name for name in task.names if name != "auroc"]  # nobody gives probabilities
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        sample = data.source.sample(row)
        for observer, mask in data.source.observers(row).items() if sample.mask is not None else ():
            scores = task.scored(mask, np.zeros((len(task.classes), 0), np.float32), sample, names)
            found.setdefault(observer, {})[row] = list(scores.values())
    return {observer: _table(values, columns(task.classes, names), data) for observer, values in found.items()}


def _table(values: dict[int, list[float]], names: list[str], data: DataModule) -> CaseScores:
    rows, cases = list(values), data.cases
    array = np.array(list(values.values()), np.float64)
    scores = {name: array[:, number] for number, name in enumerate(names)}
    return CaseScores(cases.case[rows], cases.subject[rows], cases.split[rows], scores)


def _title(rank: str, case: str, score: str, value: float) -> str:
    return f"{rank}: {middle_cut(case, 30)}\n{score} {value:.3f}"

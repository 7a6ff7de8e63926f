"""Labels of whole images: a table of probabilities, and its pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure

from fiducial.data.module import DataModule
from fiducial.metrics import confusion_matrix
from fiducial.reports import figures
from fiducial.reports.predictions import Predictions, write_predictions
from fiducial.runs import folder
from fiducial.runs.results import Results
from fiducial.statistics import bootstrap, predicted_labels
from fiducial.tasks.base import Task


class Classified(Results):
    """Class probabilities of each case.

    Args:
        predictions: the table.
        target: kind of label.
        seed: of the intervals.
    """

    files = (folder.PREDICTIONS,)

    def __init__(self, predictions: Predictions, target: str, *, seed: int) -> None:
        assert predictions.label is not None
        self.predictions = predictions
        self.subject, self.split = predictions.subject, str(predictions.split[0])
        self.intervals = bootstrap(predictions.probabilities, predictions.label, predictions.subject, target, seed=seed)

    @classmethod
    def of(cls, task: Task, data: DataModule, *, seed: int) -> Classified:
        """Return what a task predicted."""
        return cls(tabulate(task, data), data.spec.target, seed=seed)

    def write(self, out: Path) -> None:
        """Write the table of predictions."""
        write_predictions(out / folder.PREDICTIONS, self.predictions)

    def pictures(self, data: DataModule) -> dict[str, Figure]:
        """Return the confusion matrix, curves, reliability diagram and worst mistakes."""
        predictions, spec, intervals = self.predictions, data.spec, self.intervals
        probabilities, label = predictions.probabilities, predictions.label
        assert label is not None
        counts = confusion_matrix(torch.from_numpy(probabilities), torch.from_numpy(label), spec.target).numpy()
        ranking = figures.roc_and_precision_recall(
            probabilities, label, predictions.subject, spec.target, spec.classes, intervals=intervals
        )
        return {
            "confusion_matrix": figures.confusion_matrix(counts, spec.classes),
            "roc_and_precision_recall": ranking,
            "reliability": figures.reliability(probabilities, label, spec.target, spec.classes, intervals=intervals),
            "worst_mistakes": self._mistakes(data),
        }

    def _mistakes(self, data: DataModule) -> Figure:
        spec, predictions = data.spec, self.predictions
        assert predictions.label is not None
        worst = figures.rank_mistakes(predictions.probabilities, predictions.label, spec.target, spec.classes)
        row_of = {case: row for row, case in enumerate(data.cases.case.tolist())}
        cases = [str(predictions.case[mistake.row]) for mistake in worst]
        images = [data.source.read(row_of[case]) for case in cases]
        return figures.worst_mistakes(images, worst, cases, num_cases=len(predictions))


def tabulate(task: Task, data: DataModule) -> Predictions:
    """Return the table of what a task predicted for the test cases."""
    rows = task.predictions["row"].numpy()
    probabilities = task.predictions["probabilities"].double().numpy()
    cases = data.cases
    return Predictions(
        case=cases.case[rows],
        subject=cases.subject[rows],
        split=cases.split[rows],
        probabilities=probabilities,
        predicted=predicted_labels(probabilities, data.spec.target),
        label=cases.label[rows],
    )

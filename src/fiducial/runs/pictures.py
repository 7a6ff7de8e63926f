"""The pictures of a run, from its predictions and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure

from fiducial.data.module import DataModule
from fiducial.metrics import confusion_matrix
from fiducial.reports import figures
from fiducial.reports.predictions import Predictions
from fiducial.statistics import Interval

History = Mapping[str, Sequence[tuple[int, float]]]


def draw(
    predictions: Predictions,
    intervals: Mapping[str, Interval],
    data: DataModule,
    *,
    history: History,
    epoch: int,
    objective: str,
) -> dict[str, Figure]:
    """Return figures by name."""
    probabilities, label, spec = predictions.probabilities, predictions.label, data.spec
    assert label is not None
    counts = confusion_matrix(torch.from_numpy(probabilities), torch.from_numpy(label), spec.target).numpy()
    ranking = figures.roc_and_precision_recall(
        probabilities, label, predictions.subject, spec.target, spec.classes, intervals=intervals
    )
    return {
        "learning_curves": figures.learning_curves(history, selected_epoch=epoch, objective=objective),
        "confusion_matrix": figures.confusion_matrix(counts, spec.classes),
        "roc_and_precision_recall": ranking,
        "reliability": figures.reliability(probabilities, label, spec.target, spec.classes, intervals=intervals),
        "worst_mistakes": _mistakes(predictions, data),
    }


def _mistakes(predictions: Predictions, data: DataModule) -> Figure:
    spec = data.spec
    assert predictions.label is not None
    worst = figures.rank_mistakes(predictions.probabilities, predictions.label, spec.target, spec.classes)
    row_of = {case: row for row, case in enumerate(data.cases.case.tolist())}
    cases = [str(predictions.case[mistake.row]) for mistake in worst]
    images = [data.source.read(row_of[case]) for case in cases]
    return figures.worst_mistakes(images, worst, cases, num_cases=len(predictions))

"""The pictures of a run, from its results and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from fiducial.data.module import DataModule
from fiducial.reports import figures
from fiducial.runs.results import Results

History = Mapping[str, Sequence[tuple[int, float]]]


def draw(results: Results, data: DataModule, *, history: History, epoch: int, objective: str) -> dict[str, Figure]:
    """Return figures by name."""
    curves = figures.learning_curves(history, selected_epoch=epoch, objective=objective)
    return {"learning_curves": curves, **results.pictures(data)}

"""Learning curves: losses, scores and the learning rate over epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from fiducial.reports.figures.style import BLUE, GREY, VERMILLION, Room, panels, styled

Points = Sequence[tuple[int, float]]
STAGES = {"train": BLUE, "val": VERMILLION}
NUM_TICKS = 5  # along each axis, at most: a panel is small, and its ticks are most of what it costs
PREFERRED = ("loss", "auroc", "balanced_accuracy", "accuracy", "quadratic_kappa", "lr")


@styled
def learning_curves(
    history: Mapping[str, Points],
    *,
    selected_epoch: int | None = None,
    objective: str = "val/auroc",
    metrics: Sequence[str] | None = None,
) -> Figure:
    """Draw a panel a metric, training and validation together, the selected epoch marked.

    Args:
        history: points (epoch, value) by name: "train/loss", "val/auroc", "lr", ….
        selected_epoch: the epoch whose weights were kept.
        objective: name of the metric that selected it, which gets a panel in any case.
        metrics: names without their stage, a panel each; the loss, the objective and some more if None.
    """
    chosen = list(metrics) if metrics is not None else _choose(history, objective)
    columns = min(len(chosen), 3)
    rows = math.ceil(len(chosen) / columns)
    figure, grid = panels([2.2] * rows, [2.8] * columns, Room(left=0.65, right=0.15, top=0.4, bottom=0.55))
    for position, metric in enumerate(chosen):
        axes = figure.add_subplot(grid[divmod(position, columns)])
        _panel(axes, metric, history, selected_epoch, objective)
        if position == 0 and axes.get_legend_handles_labels()[0]:
            axes.legend()  # for all: colours mean the same in each panel, and a legend costs as much as the rest of it
    return figure


def _choose(history: Mapping[str, Points], objective: str) -> list[str]:
    present = {name.rpartition("/")[2] for name in history}
    wanted = ["loss", objective.rpartition("/")[2], *PREFERRED]
    return [name for name in dict.fromkeys(wanted) if name in present][:6]


def _panel(axes: Axes, metric: str, history: Mapping[str, Points], selected_epoch: int | None, objective: str) -> None:
    for stage, colour in STAGES.items():
        if points := history.get(f"{stage}/{metric}"):
            _line(axes, points, colour, stage)
    if points := history.get(metric) or history.get(f"train/{metric}" if metric == "lr" else ""):
        _line(axes, points, GREY, None)
    if selected_epoch is not None:
        axes.axvline(selected_epoch, color=GREY, linestyle="--", linewidth=1, label=f"selected: {selected_epoch}")
        _mark_selected(axes, metric, history, selected_epoch)
    axes.set_title(_title(metric, objective))
    axes.set_xlabel("epoch (first is 0)")
    axes.xaxis.set_major_locator(MaxNLocator(NUM_TICKS, integer=True, min_n_ticks=1))
    if metric == "lr":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(NUM_TICKS))


def _line(axes: Axes, points: Points, colour: str, label: str | None) -> None:
    epochs, values = zip(*points, strict=True)
    marker = "o" if len(points) <= 12 else None
    axes.plot(epochs, values, color=colour, marker=marker, markersize=4, label=label)


def _mark_selected(axes: Axes, metric: str, history: Mapping[str, Points], selected_epoch: int) -> None:
    value = dict(history.get(f"val/{metric}", ())).get(selected_epoch)
    if value is not None:
        axes.plot(selected_epoch, value, "o", color=VERMILLION, markersize=8, markeredgecolor="white")
        axes.annotate(f"{value:.3f}", (selected_epoch, value), (6, -12), textcoords="offset points", fontsize=10)


def _title(metric: str, objective: str) -> str:
    title = "learning rate" if metric == "lr" else metric.replace("_", " ")
    return f"{title} (selects the epoch)" if objective.endswith(f"/{metric}") else title

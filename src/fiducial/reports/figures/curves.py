"""Learning curves: losses, scores and the learning rate over epochs, which are counted from 1 here."""

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
LEGEND = 0.3  # inches below the panels
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
        history: points (epoch, value) by name: "train/loss", "val/auroc", "lr", …; epochs are counted from 0.
        selected_epoch: the epoch whose weights were kept, likewise.
        objective: name of the metric that selected it, which gets a panel in any case.
        metrics: names without their stage, a panel each; the loss, the objective and some more if None.
    """
    chosen = list(metrics) if metrics is not None else _choose(history, objective)
    columns = min(len(chosen), 3)
    rows = math.ceil(len(chosen) / columns)
    room = Room(left=0.65, right=0.25, top=0.4, bottom=0.55)
    figure, grid = panels([2.2] * rows, [2.8] * columns, room, below=LEGEND)
    for position, metric in enumerate(chosen):
        axes = figure.add_subplot(grid[divmod(position, columns)])
        _panel(axes, metric, history, selected_epoch, objective)
    # One legend for all, clear of the lines: colours mean the same in each panel, and a legend costs as much as one.
    by_label = {
        label: line for axes in figure.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if by_label:
        figure.legend(by_label.values(), by_label.keys(), loc="lower left", ncols=len(by_label), borderaxespad=0.2)
    return figure


def _without_stage(name: str) -> str:
    """Return `dice/lesion` of `val/dice/lesion`, and what has no stage as it is."""
    stage, _, rest = name.partition("/")
    return rest if stage in STAGES else name


def _choose(history: Mapping[str, Points], objective: str) -> list[str]:
    present = {_without_stage(name) for name in history}
    wanted = ["loss", _without_stage(objective), *PREFERRED]
    return [name for name in dict.fromkeys(wanted) if name in present][:6]


def _panel(axes: Axes, metric: str, history: Mapping[str, Points], selected_epoch: int | None, objective: str) -> None:
    for stage, colour in STAGES.items():
        if points := history.get(f"{stage}/{metric}"):
            _line(axes, points, colour, stage)
    if points := history.get(metric) or history.get(f"train/{metric}" if metric == "lr" else ""):
        _line(axes, points, GREY, None)
    if selected_epoch is not None:
        label = f"selected epoch: {selected_epoch + 1} (objective: {_title(_without_stage(objective))})"
        axes.axvline(selected_epoch + 1, color=GREY, linestyle="--", linewidth=1, label=label)
    axes.set_title(_title(metric))
    axes.set_xlabel(f"epoch{_mark_selected(axes, metric, history, selected_epoch)}")
    axes.xaxis.set_major_locator(MaxNLocator(NUM_TICKS, integer=True, min_n_ticks=1))
    if len(epochs := {epoch + 1 for points in history.values() for epoch, _ in points}) == 1:
        axes.set_xlim(min(epochs) - 0.5, min(epochs) + 0.5)
    if metric == "lr":
        _logarithmic(axes)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(NUM_TICKS))


def _logarithmic(axes: Axes) -> None:
    """Give the axis of the learning rate a few labels, whether it spans a factor of 2 or of 10,000."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    wide = high > 30 * low
    axes.yaxis.set_major_locator(LogLocator(numticks=NUM_TICKS) if wide else LogLocator(subs=(1, 2, 5), numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _line(axes: Axes, points: Points, colour: str, label: str | None) -> None:
    epochs, values = zip(*((epoch + 1, value) for epoch, value in points), strict=True)
    marker = "o" if len(points) <= 12 else None
    axes.plot(epochs, values, color=colour, marker=marker, markersize=4, label=label)


def _mark_selected(axes: Axes, metric: str, history: Mapping[str, Points], selected_epoch: int | None) -> str:
    """Mark the value at the selected epoch; return what the axis says of it, where no line passes."""
    value = None if selected_epoch is None else dict(history.get(f"val/{metric}", ())).get(selected_epoch)
    if selected_epoch is None or value is None:
        return ""
    axes.plot(selected_epoch + 1, value, "o", color=VERMILLION, markersize=8, markeredgecolor="white")
    return f" (val at {selected_epoch + 1}: {value:.3f})"


def _title(metric: str) -> str:
    return "learning rate" if metric == "lr" else metric.replace("_", " ")

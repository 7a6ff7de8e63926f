"""Pictures of a search: what was tried in which order, what matters, what is traded for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fiducial.reports.figures.style import BLUE, GREY, VERMILLION, short, styled

MAX_NUMBERS = 12  # of trials, written beside their points


@dataclass(frozen=True)
class Objective:
    """What a search is after.

    Attributes:
        name: of the metric.
        lower: whether less of it is better.
    """

    name: str
    lower: bool

    def better(self, one: float, other: float) -> float:
        """Return the better one of two values."""
        return min(one, other) if self.lower else max(one, other)

    def limits(self, values: Sequence[float]) -> tuple[float, float]:
        """Return a range for a picture: all good values, and bad ones that are not so far off as to hide the rest."""
        first, third = np.percentile(values, [25, 75])
        reach = 3 * float(third - first)
        low, high = min(values), max(values)
        if self.lower:
            high = min(high, float(third) + reach)
        else:
            low = max(low, float(first) - reach)
        margin = 0.06 * (high - low) or 0.05 * abs(low) or 0.05
        return low - margin, high + margin

    @property
    def label(self) -> str:
        """Name and direction."""
        return f"{self.name} ({'lower' if self.lower else 'higher'} is better)"


@dataclass(frozen=True)
class Axis:
    """A setting that was searched.

    Attributes:
        name: shown.
        choices: values of a choice, in order; None for numbers.
        log: whether its logarithm counts.
    """

    name: str
    choices: tuple[str, ...] | None = None
    log: bool = False


@dataclass(frozen=True)
class Trial:
    """What a search tried.

    Attributes:
        number: from 0.
        state: "done", "pruned" or "failed".
        values: of the objectives; the last one reported, if it was pruned; may be empty otherwise.
        settings: number, or text of a choice, for each axis.
    """

    number: int
    state: Literal["done", "pruned", "failed"]
    values: tuple[float, ...]
    settings: Mapping[str, float | str]


@styled
def history(trials: Sequence[Trial], objectives: Sequence[Objective]) -> Figure:
    """Draw the value of each trial in order, and the best so far; a panel an objective."""
    figure = Figure(figsize=(9.5, 3.6 * len(objectives) + 0.4), layout="constrained")
    panels = figure.subplots(len(objectives), 1, squeeze=False)[:, 0]
    for position, (axes, objective) in enumerate(zip(panels, objectives, strict=True)):
        _history(axes, trials, objective, position)
    return figure


def _history(axes: Axes, trials: Sequence[Trial], objective: Objective, position: int) -> None:
    done = [(trial.number, trial.values[position]) for trial in trials if trial.state == "done"]
    numbers, values = zip(*done, strict=True)
    best = list(accumulate(values, objective.better))
    axes.plot(numbers, values, "o", color=BLUE, alpha=0.6, markersize=5, label=f"done: {len(done)}")
    axes.step(numbers, best, where="post", color=VERMILLION, label="best so far")
    winner = numbers[values.index(best[-1])]
    axes.plot(winner, best[-1], "o", color=VERMILLION, markersize=9, markeredgecolor="white")
    low, high = objective.limits(values)
    axes.set_ylim(low, high)
    if outside := sum(not low <= value <= high for value in values):
        axes.plot([], [], " ", label=f"far off, not shown: {outside}")
    if pruned := [trial for trial in trials if trial.state == "pruned" and trial.values]:
        shown = [min(max(trial.values[0], low), high) for trial in pruned]  # far off, at the edge
        label = f"pruned: {len(pruned)} (at the last value seen, or the edge next to it)"
        axes.plot([t.number for t in pruned], shown, "x", color=GREY, markersize=5, clip_on=False, label=label)
    if failed := [trial.number for trial in trials if trial.state == "failed"]:
        axes.plot(
            failed,
            [0.0] * len(failed),
            "^",
            color="black",
            markersize=6,
            label=f"failed: {len(failed)}",
            clip_on=False,
            transform=axes.get_xaxis_transform(),  # at the lower edge
        )
    axes.set_title(f"Best {objective.name}: {_short(best[-1])}, trial {winner}")
    axes.set_ylabel(objective.name)
    axes.set_xlabel("trial (first is 0)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@styled
def importance(importances: Mapping[str, Mapping[str, float]], num_trials: int) -> Figure:
    """Draw what share of the differences each setting explains.

    Args:
        importances: share by setting, by objective.
        num_trials: complete ones, from which it was computed.
    """
    names = list(next(iter(importances.values())))
    figure = Figure(figsize=(4.6 * len(importances) + 1.6, 0.42 * len(names) + 1.6), layout="constrained")
    panels = figure.subplots(1, len(importances), squeeze=False, sharey=True)[0]
    for axes, (objective, shares) in zip(panels, importances.items(), strict=True):
        values = [shares.get(name, 0.0) for name in names]
        bars = axes.barh([short(name, 34) for name in names], values, color=BLUE, height=0.62)
        axes.bar_label(bars, [f"{100 * value:.0f} %" for value in values], padding=4, fontsize=10)
        axes.set_xlim(0, max(1e-9, *values) * 1.18)
        axes.set_xlabel("share of the differences that it explains")
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.grid(axis="y", visible=False)
        axes.set_title(f"What matters for {objective} ({num_trials} trials)")
    panels[0].invert_yaxis()
    return figure


@styled
def pareto_front(trials: Sequence[Trial], front: Sequence[int], objectives: Sequence[Objective]) -> Figure:
    """Draw the first two, and each neighbouring two, of several objectives against each other.

    Args:
        trials: with their values.
        front: numbers of the trials that no other one beats in everything.
        objectives: at least two.
    """
    pairs = list(pairwise(range(len(objectives))))
    figure = Figure(figsize=(6.2 * len(pairs) + 0.6, 4.8), layout="constrained")
    panels = figure.subplots(1, len(pairs), squeeze=False)[0]
    done = [trial for trial in trials if trial.state == "done"]
    for axes, (x, y) in zip(panels, pairs, strict=True):
        rest = [trial for trial in done if trial.number not in front]
        axes.plot([t.values[x] for t in rest], [t.values[y] for t in rest], "o", color=GREY, alpha=0.5, label="beaten")
        best = sorted((trial for trial in done if trial.number in front), key=lambda trial: trial.values[x])
        points = [t.values[x] for t in best], [t.values[y] for t in best]
        line = "o-" if len(objectives) == 2 else "o"
        label = f"beaten by none in all: {len(best)}"
        stairs = "steps-post" if objectives[x].lower else "steps-pre"  # what is reached at this x or a better one
        axes.plot(*points, line, color=VERMILLION, drawstyle=stairs, markersize=7, linewidth=1, label=label)
        for position, trial in enumerate(best[:MAX_NUMBERS]):
            point, beside = (trial.values[x], trial.values[y]), (6, 5) if position % 2 else (6, -13)
            axes.annotate(str(trial.number), point, beside, textcoords="offset points", fontsize=9)
        for position, scale in ((x, axes.set_xscale), (y, axes.set_yscale)):
            if _is_wide([trial.values[position] for trial in done]):
                scale("log")
        axes.set_xlabel(objectives[x].label)
        axes.set_ylabel(objectives[y].label)
        axes.legend()
    panels[0].set_title(f"Pareto front of {len(done)} trials (numbers of trials)")
    return figure


def _is_wide(values: Sequence[float]) -> bool:
    """Tell whether values differ so much that only their logarithms can be seen side by side."""
    return min(values) > 0 and max(values) > 30 * min(values)

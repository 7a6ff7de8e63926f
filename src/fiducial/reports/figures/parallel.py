"""Which settings of a search are good: a line a trial, through its settings to its objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fiducial.reports.figures.search import Axis, Objective, Trial
from fiducial.reports.figures.style import VERMILLION, short, styled

PALETTE = "cividis"  # even in brightness, for any colour vision; the better, the darker
MAX_AXES = 8


@styled
def parallel_coordinates(trials: Sequence[Trial], axes: Sequence[Axis], objective: Objective) -> Figure:
    """Draw a line a complete trial through its settings to its objective, the first one; the best in front.

    Args:
        trials: with their settings.
        axes: settings; only the first ones are drawn if there are many.
        objective: that colours the lines.
    """
    shown = [*axes[:MAX_AXES], Axis(objective.name)]
    done = [trial for trial in trials if trial.state == "done"]
    done.sort(key=lambda trial: -trial.values[0] if objective.lower else trial.values[0])
    columns = [[_column(trial, axis, objective) for trial in done] for axis in shown]
    scales = [_Scale.of(axis, column) for axis, column in zip(shown, columns, strict=True)]
    scales[-1] = scales[-1].within(*objective.limits([trial.values[0] for trial in done]))
    figure = Figure(figsize=(max(7.0, 1.7 * len(shown) + 1.8), 4.8), layout="constrained")
    panel = figure.add_subplot()
    palette = mpl.colormaps[PALETTE if objective.lower else f"{PALETTE}_r"]
    colour = ScalarMappable(Normalize(*objective.limits([trial.values[0] for trial in done])), palette)
    shades = palette(colour.norm(np.array([trial.values[0] for trial in done])))
    heights = _heights(scales, columns)
    for row in range(len(done) - 1):
        panel.plot(heights[row], color=shades[row], linewidth=1.3, alpha=0.75)
    panel.plot(heights[-1], color=VERMILLION, linewidth=3, label=f"best: trial {done[-1].number}")
    for position, scale in enumerate(scales):
        scale.draw(panel, position)
    _frame(panel, [axis.name for axis in shown])
    panel.legend(loc="upper left", bbox_to_anchor=(0.0, -0.1))
    figure.colorbar(colour, ax=panel, pad=0.02, aspect=30).set_label(objective.label)
    hidden = f", {len(axes) - MAX_AXES} more settings not shown" if len(axes) > MAX_AXES else ""
    panel.set_title(f"{len(done)} complete trials{hidden}")
    return figure


def _heights(scales: Sequence[_Scale], columns: Sequence[Sequence[float | str]]) -> NDArray[np.float64]:
    """Return heights `(trials, axes)`; lines through the same choice are set apart a little."""
    heights = np.array(
        [[scale.height(value) for value in column] for scale, column in zip(scales, columns, strict=True)]
    )
    apart = np.random.default_rng(0).uniform(-0.018, 0.018, heights.shape)
    chosen = np.array([bool(scale.axis.choices) for scale in scales])
    spread: NDArray[np.float64] = (heights + apart * chosen[:, None]).T
    return spread


@dataclass(frozen=True)
class _Scale:
    """Where the values of an axis are, from 0 (bottom) to 1 (top)."""

    axis: Axis
    low: float
    high: float

    @classmethod
    def of(cls, axis: Axis, column: Sequence[float | str]) -> _Scale:
        if axis.choices:
            return cls(axis, 0, max(1, len(axis.choices) - 1))
        numbers = [float(value) for value in column]
        return cls(axis, min(numbers), max(numbers))

    def within(self, low: float, high: float) -> _Scale:
        """Return the part of a scale that lies within limits; what is beyond stands at its ends."""
        return replace(self, low=max(low, self.low), high=min(high, self.high))

    def height(self, value: float | str) -> float:
        if self.axis.choices:
            return self.axis.choices.index(str(value)) / self.high if len(self.axis.choices) > 1 else 0.5
        low, high, number = self.low, self.high, float(value)
        if self.axis.log:
            low, high, number = math.log(low), math.log(high), math.log(number)
        return min(1.0, max(0.0, (number - low) / (high - low))) if high > low else 0.5

    def draw(self, panel: Axes, position: int) -> None:
        """Draw the axis and its marks."""
        panel.axvline(position, color="black", linewidth=0.8, zorder=0.5)
        marks = self.axis.choices or self._marks()
        for mark in marks:
            text = short(mark, 14) if isinstance(mark, str) else f"{mark:.3g}"
            panel.annotate(
                text,
                (position, self.height(mark)),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
                zorder=5,
            )

    def _marks(self) -> list[float]:
        if self.high <= self.low:
            return [self.low]
        if self.axis.log:
            inner = [10.0**n for n in range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)]
        else:
            inner = [float(mark) for mark in MaxNLocator(4).tick_values(self.low, self.high)]
        apart = [mark for mark in inner if all(abs(self.height(mark) - end) > 0.05 for end in (0, 1))]
        return [self.low, *(mark for mark in apart if self.low < mark < self.high), self.high]


def _column(trial: Trial, axis: Axis, objective: Objective) -> float | str:
    return trial.values[0] if axis.name == objective.name else trial.settings[axis.name]


def _frame(panel: Axes, names: Sequence[str]) -> None:
    panel.set_xticks(range(len(names)), [short(name, 18) for name in names])
    panel.set_xlim(-0.1, len(names) - 0.55)
    panel.set_ylim(-0.05, 1.05)
    panel.set_yticks([])
    panel.grid(visible=False)
    for side in panel.spines.values():
        side.set_visible(False)
    panel.tick_params(length=0)

"""Forest plot: how far settings are from a reference, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fiducial.reports.figures.style import BLUE, GREY, VERMILLION, short, styled

# Blue and vermilion differ for any colour vision; the markers differ as well.
MARKS = {"better": (BLUE, "o"), "worse": (VERMILLION, "s"), "cannot tell": (GREY, "D")}
MOST_ROWS = 40


@dataclass(frozen=True)
class ForestRow:
    """A difference from the reference, the bounds of its interval, and what is concluded."""

    label: str
    value: float
    low: float
    high: float
    verdict: str


@styled
def forest(rows: Mapping[str, Sequence[ForestRow]], reference: str, falling: frozenset[str] = frozenset()) -> Figure:
    """Draw a panel a metric, a row a setting, in the order given.

    Args:
        rows: by metric, of the same settings in the same order; of more than 40 the first are drawn.
        reference: what the settings are compared with.
        falling: metrics that are better the lower.
    """
    labels = [row.label for row in next(iter(rows.values()))]
    drawn = labels[:MOST_ROWS]
    names = [short(label, 44) for label in drawn]
    margin = 0.6 + 0.085 * max(len(name) for name in names)
    height = 1.5 + 0.36 * len(drawn)
    figure = Figure(figsize=(margin + 3.9 * len(rows), height), layout="constrained")
    panels = figure.subplots(1, len(rows), sharey=True, squeeze=False)[0]
    for axes, (metric, panel) in zip(panels, rows.items(), strict=True):
        _panel(axes, panel[:MOST_ROWS], metric, falls=metric in falling)
    panels[0].set_yticks(range(len(drawn)), names)
    panels[0].set_ylim(len(drawn) - 0.4, -0.6)
    figure.suptitle(_title(reference, len(drawn), len(labels)), fontsize=11, x=0.01, ha="left")
    verdicts = {row.verdict for panel in rows.values() for row in panel[:MOST_ROWS]}
    handles = [_key(verdict) for verdict in MARKS if verdict in verdicts]
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))
    return figure


def _panel(axes: Axes, rows: Sequence[ForestRow], metric: str, *, falls: bool) -> None:
    axes.axvline(0, color=GREY, linewidth=1)
    for position, row in enumerate(rows):
        colour, marker = MARKS[row.verdict]
        if not isfinite(row.value):
            continue
        if isfinite(row.low):
            axes.plot([row.low, row.high], [position, position], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(row.value, position, marker, color=colour, markersize=7, markeredgecolor="white")
        text = f"{row.value:+.3f}".replace("-", "−")
        axes.annotate(text, (1.02, position), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=colour)
    reached = [0.0, *(bound for row in rows for bound in (row.value, row.low, row.high) if isfinite(bound))]
    margin = 0.06 * (max(reached) - min(reached)) or 1.0
    axes.set_xlim(min(reached) - margin, max(reached) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(metric.replace("_", " "))
    axes.set_xlabel("← better      worse →" if falls else "← worse      better →")


def _title(reference: str, drawn: int, whole: int) -> str:
    cut = "" if drawn == whole else f"; the first {drawn} of {whole:,} settings"
    return f"Difference from {short(reference, 60)}, 95 % intervals{cut}"


def _key(verdict: str) -> Line2D:
    colour, marker = MARKS[verdict]
    return Line2D(
        [], [], color=colour, marker=marker, markersize=7, markeredgecolor="white", linewidth=2, label=verdict
    )

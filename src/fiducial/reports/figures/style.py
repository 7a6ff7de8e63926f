"""Colours, sizes and names that all pictures share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import product
from math import isnan
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.typing import LineStyleType, RcKeyType

from fiducial.statistics import Interval

P = ParamSpec("P")

# Okabe and Ito's palette, which people with any colour vision tell apart.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
ORANGE, PURPLE, SKY = "#E69F00", "#CC79A7", "#56B4E9"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
STROKES: tuple[LineStyleType, ...] = ("-", "--", ":")
LINES = tuple((colour, stroke) for stroke, colour in product(STROKES, COLOURS))
GREY = "#767676"
FAST = 1  # of zlib's levels: an eighth more bytes than by default, in three fifths of the time

STYLE: dict[RcKeyType, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # where it is put; else matplotlib measures every tick of every panel to find out
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.8,
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the common style, and leave matplotlib's settings as they were."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


@dataclass(frozen=True)
class Room:
    """Inches left around each panel of a figure for its labels.

    Known beforehand, they need not be measured by drawing everything twice, which is most of what a picture costs.
    """

    left: float
    right: float
    top: float
    bottom: float


def panels(
    heights: Sequence[float], widths: Sequence[float], room: Room, *, below: float = 0.0
) -> tuple[Figure, GridSpec]:
    """Return a figure with a grid of panels, all with the same room around them.

    Args:
        heights: of the rows of panels, inches.
        widths: of the columns, inches.
        room: around each panel.
        below: inches left free at the figure's lower edge.
    """
    across, down = room.left + room.right, room.top + room.bottom
    width = sum(widths) + len(widths) * across
    height = sum(heights) + len(heights) * down + below
    figure = Figure(figsize=(width, height))
    grid = figure.add_gridspec(
        len(heights),
        len(widths),
        height_ratios=heights,
        width_ratios=widths,
        left=room.left / width,
        right=1 - room.right / width,
        top=1 - room.top / height,
        bottom=(room.bottom + below) / height,
        hspace=down * len(heights) / sum(heights),
        wspace=across * len(widths) / sum(widths),
    )
    return figure, grid


def save(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all; the path's ending says in which format."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with mpl.rc_context(STYLE):
        if layout := figure.get_layout_engine():
            layout.execute(figure)  # savefig would draw the whole figure once more for it
            figure.set_layout_engine("none")
        kind = path.suffix.removeprefix(".")
        packing: dict[str, Any] = {"pil_kwargs": {"compress_level": FAST}} if kind == "png" else {}
        figure.savefig(partial, format=kind, **packing)
    partial.replace(path)


def short(name: str, length: int = 26) -> str:
    """Return a name cut to `length` characters, its end marked."""
    return name if len(name) <= length else f"{name[: length - 1].rstrip()}…"


def middle_cut(name: str, length: int = 36) -> str:
    """Return a name cut in its middle to `length` characters: of a path or an id the end tells most."""
    start = (length - 1) // 2
    return name if len(name) <= length else f"{name[:start]}…{name[start + 1 - length :]}"


def with_bounds(interval: Interval, digits: int = 3) -> str:
    """Return `0.912 [0.880, 0.940]`, or the value alone where there are no bounds."""
    value = f"{interval.value:.{digits}f}"
    if isnan(interval.low):
        return value
    return f"{value} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"

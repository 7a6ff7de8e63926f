"""Boxes over images: what is there, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from fiducial.reports.figures.overlay import View, grey, outline, show
from fiducial.reports.figures.style import ORANGE, SKY, styled

TRUTH, FOUND = SKY, ORANGE


@dataclass(frozen=True)
class BoxView:
    """One image with its boxes.

    Attributes:
        title: what it is.
        image: `(rows, columns)` or `(rows, columns, 3)`.
        truth: boxes that are there: low row and column, high row and column, `(there, 4)`.
        found: boxes that were found, likewise.
        labels: what stands beside each of these.
    """

    title: str
    image: NDArray[Any]
    truth: NDArray[np.float32]
    found: NDArray[np.float32]
    labels: Sequence[str]


@styled
def boxes(views: Sequence[BoxView]) -> Figure:
    """Draw a column an image: the image alone, and below it with the boxes that are there and that were found."""
    figure = Figure(figsize=(3.6 * len(views) + 0.2, 7.9), layout="constrained")
    for column, view in enumerate(views):
        nothing = np.zeros(view.image.shape[:2], np.uint8)
        picture = grey(View(view.title, view.image, nothing, nothing))
        for row in range(2):
            axes = figure.add_subplot(2, len(views), row * len(views) + column + 1)
            axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
            if row == 0:
                axes.set_title(view.title, fontsize=10, fontweight="normal")
                continue
            for box in view.truth:
                _rectangle(axes, box, TRUTH, "solid")
            for box, label in zip(view.found, view.labels, strict=True):
                _rectangle(axes, box, FOUND, "dashed")
                _label(axes, box, label)
    _legend(figure, any(len(view.truth) for view in views))
    return figure


@styled
def box_planes(cases: Sequence[tuple[str, Sequence[View]]]) -> Figure:
    """Draw a row a volume with its axial, coronal and sagittal plane and the boxes that they cut.

    Args:
        cases: title and three planes of each; masks are 1 inside a box.
    """
    figure = Figure(figsize=(10.6, 3.3 * len(cases) + 0.7), layout="constrained")
    for row, (title, views) in enumerate(cases):
        for column, view in enumerate(views):
            axes = figure.add_subplot(len(cases), 3, 3 * row + column + 1)
            show(axes, grey(view), view)
            outline(axes, view.truth > 0, TRUTH, "solid")
            outline(axes, view.predicted > 0, FOUND, "dashed")
            axes.set_title(view.title if column else f"{title}\n{view.title}", fontsize=10, fontweight="normal")
    _legend(figure, any(view.truth.any() for _, views in cases for view in views))
    return figure


def _rectangle(axes: Axes, box: NDArray[np.float32], colour: str, style: Literal["solid", "dashed"]) -> None:
    top, left, bottom, right = (float(end) - 0.5 for end in box)  # a pixel's middle is a whole number here
    patch = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=1.8)
    patch.set_linestyle(style)
    axes.add_patch(patch)


def _label(axes: Axes, box: NDArray[np.float32], text: str) -> None:
    written = axes.text(
        float(box[1]) - 0.5, float(box[0]) - 1.0, text, color=FOUND, fontsize=8, va="bottom", clip_on=True
    )
    written.set_path_effects([withStroke(linewidth=2, foreground="black")])


def _legend(figure: Figure, known: bool) -> None:
    truth = Line2D([], [], color=TRUTH, linestyle="solid", label="truth")
    found = Line2D([], [], color=FOUND, linestyle="dashed", label="found")
    figure.legend(handles=[truth, found] if known else [found], loc="outside lower left", ncols=2, fontsize=9)

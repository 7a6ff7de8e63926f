"""Masks over images: truth, prediction and error of chosen cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fiducial.reports.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, styled

OPACITY = 0.45
COLOURS = (GREEN, BLUE, PURPLE, ORANGE, SKY, VERMILLION)  # of classes
FOUND, MISSED, INVENTED, SWAPPED = "#bfbfbf", SKY, VERMILLION, ORANGE


@dataclass(frozen=True)
class View:
    """One plane of one case, as it is shown: the first row on top.

    Attributes:
        title: what it is.
        image: `(rows, columns)` or `(rows, columns, 3)`.
        truth: class numbers, `(rows, columns)`.
        predicted: likewise.
        region: where results count, or None for everywhere.
        spacing: of rows and of columns, in mm; None for pictures.
        edges: what lies at the left, right, top and bottom edge ("R", "L", "A", "P"), or empty.
    """

    title: str
    image: NDArray[Any]
    truth: NDArray[np.uint8]
    predicted: NDArray[np.uint8]
    region: NDArray[np.bool_] | None = None
    spacing: tuple[float, float] | None = None
    edges: tuple[str, ...] = ()


@styled
def overlays(views: Sequence[View], classes: Sequence[str]) -> Figure:
    """Draw a row a view: the image, the truth over it, the prediction over it, and where they differ.

    Args:
        views: what is shown.
        classes: names; the first is the background, which has no colour.
    """
    figure = Figure(figsize=(11, 2.9 * len(views) + 1.0), layout="constrained")
    for row, view in enumerate(views):
        pictures = (grey(view), _tinted(view, view.truth), _tinted(view, view.predicted), _errors(view))
        for column, picture in enumerate(pictures):
            axes = figure.add_subplot(len(views), 4, 4 * row + column + 1)
            show(axes, picture, view)
            if column == 0:
                axes.set_title(view.title, fontsize=10, fontweight="normal")
            elif row == 0:
                axes.set_title(("truth", "prediction", "error")[column - 1], fontsize=10, fontweight="normal")
    names = [Patch(color=colour, label=name) for name, colour in zip(classes[1:], _colours(len(classes)), strict=True)]
    errors = [
        ("found", FOUND),
        ("missed", MISSED),
        ("invented", INVENTED),
        *([("wrong class", SWAPPED)] if len(classes) > 2 else []),
    ]
    figure.legend(
        handles=[*names, *(Patch(color=colour, label=name) for name, colour in errors)],
        loc="outside lower left",
        ncols=6,
        fontsize=9,
    )
    return figure


@styled
def planes(cases: Sequence[tuple[str, Sequence[View]]], classes: Sequence[str]) -> Figure:
    """Draw a row a case with its axial, coronal and sagittal plane: truth outlined in full, prediction dashed.

    Args:
        cases: title and the three planes of each.
        classes: names; the first is the background, which is not outlined.
    """
    figure = Figure(figsize=(10.6, 3.3 * len(cases) + 0.7), layout="constrained")
    colours = _colours(len(classes))
    for row, (title, views) in enumerate(cases):
        for column, view in enumerate(views):
            axes = figure.add_subplot(len(cases), 3, 3 * row + column + 1)
            show(axes, grey(view), view)
            for number, colour in enumerate(colours, start=1):
                outline(axes, view.truth == number, colour, "solid")
                outline(axes, view.predicted == number, colour, "dashed")
            heading = view.title if column else f"{title}\n{view.title}"
            axes.set_title(heading, fontsize=10, fontweight="normal")
    handles = [Patch(color=colour, label=name) for name, colour in zip(classes[1:], colours, strict=True)]
    key = "truth: full, prediction: dashed"
    figure.legend(handles=handles, loc="outside lower left", ncols=6, fontsize=9, title=key)
    return figure


def _colours(num_classes: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(num_classes - 1)]


def show(axes: Axes, picture: NDArray[np.float32], view: View) -> None:
    """Draw a picture with the letters at a view's edges and, where its spacing is known, a bar in mm."""
    rows, columns = view.spacing or (1.0, 1.0)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect=rows / columns)
    axes.set_axis_off()
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.98), (0.5, 0.02))
    for (x, y), letter in zip(places, view.edges, strict=False):
        axes.text(x, y, letter, transform=axes.transAxes, color="white", fontsize=8, ha="center", va="center")
    if view.spacing is not None:
        _scale_bar(axes, picture.shape[1] * columns, columns)


def _scale_bar(axes: Axes, extent: float, spacing: float) -> None:
    """Draw a bar of a round length, about a quarter of the width."""
    length = max((step for step in (1, 2, 5, 10, 20, 50, 100, 200) if step <= extent / 3), default=1)
    below = axes.get_ylim()[0]
    axes.plot([0, length / spacing], [below + 0.6, below + 0.6], color=GREY, linewidth=3, clip_on=False)
    axes.text(0, below + 1.0, f"{length} mm", fontsize=8, color=GREY, va="top")


def outline(axes: Axes, flags: NDArray[np.bool_], colour: str, style: str) -> None:
    """Draw the border of what is marked."""
    if not flags.any():
        return
    limits = axes.get_xlim(), axes.get_ylim()
    rows, columns = (np.arange(-1, length + 1) for length in flags.shape)  # what touches the border is outlined, too
    outside = np.pad(flags.astype(float), 1)
    axes.contour(columns, rows, outside, [0.5], colors=[colour], linestyles=[style], linewidths=1.2)
    axes.set(xlim=limits[0], ylim=limits[1])


def grey(view: View) -> NDArray[np.float32]:
    """Return the image in 0..1: 8-bit values as they are, others from their 1st to their 99th percentile."""
    image = view.image
    if image.dtype == np.uint8:
        return np.asarray(image / 255, np.float32)
    low, high = np.percentile(image, [1, 99])
    return np.asarray(np.clip((image - low) / max(high - low, 1e-6), 0, 1), np.float32)


def _coloured(view: View) -> NDArray[np.float32]:
    picture = grey(view)
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture


def _tinted(view: View, mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    picture = _coloured(view).copy()
    for number in np.unique(mask):
        if number:
            colour = np.array(to_rgb(COLOURS[(int(number) - 1) % len(COLOURS)]), np.float32)
            flags = mask == number
            picture[flags] = (1 - OPACITY) * picture[flags] + OPACITY * colour
    return picture


def _errors(view: View) -> NDArray[np.float32]:
    picture = 0.35 * _coloured(view).mean(axis=2, keepdims=True).repeat(3, axis=2)
    inside = np.ones(view.truth.shape, np.bool_) if view.region is None else view.region
    truth, predicted = view.truth, view.predicted
    right = (truth == predicted) & (truth > 0) & inside
    picture[right] = to_rgb(FOUND)
    for flags, colour in (
        ((truth > 0) & (predicted == 0), MISSED),
        ((truth == 0) & (predicted > 0), INVENTED),
        ((truth > 0) & (predicted > 0) & (truth != predicted), SWAPPED),
    ):
        picture[flags & inside] = to_rgb(colour)
    return np.asarray(picture, np.float32)

"""Class-activation maps over their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from fiducial.reports.figures.overlay import View, grey
from fiducial.reports.figures.style import SKY, styled

COLUMNS = 3


@dataclass(frozen=True)
class ActivationView:
    """One plane of an image with its map.

    Attributes:
        title: what it is.
        image: `(rows, columns)` or `(rows, columns, 3)`.
        values: 0 to 1, how much each pixel speaks for the class, `(rows, columns)`.
        truth: boxes: low row and column, high row and column, `(there, 4)`.
    """

    title: str
    image: NDArray[Any]
    values: NDArray[np.float32]
    truth: NDArray[np.float32]


@styled
def activation_maps(views: Sequence[ActivationView]) -> Figure:
    """Draw images with their maps, the more a pixel speaks for the class the warmer and the less transparent."""
    rows = -(-len(views) // COLUMNS)
    width = min(len(views), COLUMNS)
    figure = Figure(figsize=(3.5 * width + 0.8, 3.8 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, width, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, view in zip(panels, views, strict=False):
        nothing = np.zeros(view.image.shape[:2], np.uint8)
        axes.imshow(grey(View("", view.image, nothing, nothing)), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        heat = axes.imshow(
            view.values, cmap="inferno", vmin=0, vmax=1, alpha=0.75 * view.values, interpolation="nearest"
        )
        for top, left, bottom, right in view.truth - 0.5:
            axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=SKY, linewidth=1.8))
        axes.set_title(view.title, fontsize=10, fontweight="normal")
    figure.colorbar(heat, ax=panels.tolist(), shrink=0.6, label="speaks for the class (Grad-CAM, greatest = 1)")
    return figure

"""Confusion matrix: which class is taken for which, as counts and as shares of the true class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fiducial.reports.figures.style import Room, panels, short, styled
from fiducial.wording import counted


@styled
def confusion_matrix(counts: ArrayLike, classes: Sequence[str]) -> Figure:
    """Draw counts and row percentages.

    Args:
        counts: `(classes, classes)`, true classes in rows and predicted ones in columns; for multilabel
            `(labels, 2, 2)`, drawn as a row a label.
        classes: names, in the order of their numbers.
    """
    table = np.asarray(counts, dtype=np.int64)
    if table.ndim == 3:
        return _multilabel(table, classes)
    size = len(classes)
    edge = float(np.clip(1.2 + 0.78 * size, 3.6, 10.0))
    names = [short(name) for name in classes]
    longest = max(len(name) for name in [*names, f"n = {table.sum():,}"])
    slanted = 0.0 if size <= 2 else 0.055 * longest
    room = Room(left=0.55 + 0.085 * longest, right=max(0.2, 0.045 * longest), top=0.45, bottom=0.6 + slanted)
    figure, grid = panels([edge], [edge], room)
    axes = figure.add_subplot(grid[0])
    _draw(axes, table, _shares(table), font=11 if size <= 9 else 9)
    axes.set_xticks(range(size), names, rotation=0 if size <= 2 else 40, ha="center" if size <= 2 else "right")
    sums = table.sum(axis=1)
    axes.set_yticks(range(size), [f"{name}\nn = {n:,}" for name, n in zip(names, sums, strict=True)])
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    correct = np.trace(table)
    axes.set_title(
        f"{correct:,} of {counted(int(table.sum()), 'case')} right; percent of the true class",
        x=(0.1 - room.left) / edge,
    )
    return figure


def _multilabel(table: NDArray[np.int64], labels: Sequence[str]) -> Figure:
    (tn, fp), (fn, tp) = table.transpose(1, 2, 0)
    counts = np.stack([tp, fn, fp, tn], axis=1)
    shares = np.concatenate([_shares(counts[:, :2]), _shares(counts[:, 2:])], axis=1)
    names = [f"{short(name)}  (n = {n:,})" for name, n in zip(labels, tp + fn, strict=True)]
    room = Room(left=0.2 + 0.085 * max(map(len, names)), right=0.2, top=0.45, bottom=0.5)
    figure, grid = panels([0.5 * len(labels) + 0.2], [6.4], room)
    axes = figure.add_subplot(grid[0])
    _draw(axes, counts, shares, font=10, separator="  ·  ")
    axes.axvline(1.5, color="white", linewidth=6)
    axes.set_xticks(range(4), ["present, found", "present, missed", "absent, called", "absent, left"])
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel(f"{table[0].sum():,} cases; percent of the cases with, or without, the label")
    return figure


def _draw(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64], font: int, separator: str = "\n") -> None:
    axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for (row, column), count in np.ndenumerate(counts):
        if count == 0:
            continue
        share = shares[row, column]
        colour = "white" if share > 0.5 else "black"
        text = f"{count:,}{separator}{share:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=font)


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    sums = counts.sum(axis=1, keepdims=True)
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, sums, out=shares, where=sums > 0)
    return shares

"""Images with the boxes that are there and that were found, in two dimensions and in three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fiducial.data.boxes import Frame
from fiducial.metrics.boxes import CaseBoxes
from fiducial.reports.figures.anatomical import three_planes
from fiducial.reports.figures.box_overlay import BoxView, box_planes, boxes
from fiducial.reports.figures.overlay import View

MOST = 12  # boxes that are drawn of a case; more hide each other, and the image
Shown = tuple[str, NDArray[Any], CaseBoxes, Frame]


def picture(cases: Sequence[Shown], classes: Sequence[str]) -> Figure:
    """Return a picture of images, or of the planes of volumes; of many boxes those with the highest scores.

    Args:
        cases: of each its title, its image as the network sees it, boxes in pixels of that, and where these lie.
        classes: names of the kinds of objects.
    """
    readable = [(*_readable(title, case), image, frame) for title, image, case, frame in cases]
    if cases[0][1].ndim == 3:
        return boxes([_view(title, image, case, classes) for title, case, image, _ in readable])
    return box_planes([(title, _planes(image[0], case, frame)) for title, case, image, frame in readable])


def _readable(title: str, case: CaseBoxes) -> tuple[str, CaseBoxes]:
    """Return a case with as many of its boxes as can be told apart, and a title that says so."""
    count = len(case.score)
    if count <= MOST:
        return title, case
    kept = np.argsort(-case.score, kind="stable")[:MOST]
    fewer = replace(case, found=case.found[kept], score=case.score[kept], label=case.label[kept])
    return f"{title}\nthe best {MOST} of {count:,} boxes", fewer


def _view(title: str, image: NDArray[Any], case: CaseBoxes, classes: Sequence[str]) -> BoxView:
    names = [f"{classes[number]} " if len(classes) > 1 else "" for number in case.label.tolist()]
    labels = [f"{name}{score:.2f}" for name, score in zip(names, case.score.tolist(), strict=True)]
    truth, found = (np.asarray(corners, np.float32) for corners in (case.truth, case.found))
    return BoxView(title, np.moveaxis(image, 0, -1) if len(image) == 3 else image[0], truth, found, labels)


def _planes(volume: NDArray[Any], case: CaseBoxes, frame: Frame) -> tuple[View, ...]:
    truth, found = (_marked(corners, volume.shape) for corners in (case.truth, case.found))
    return three_planes(volume, truth, found, frame.seen_affine)


def _marked(corners: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return 1 in every pixel that a box covers by half or more along each axis, and in one at least."""
    mask, dims = np.zeros(size, np.uint8), len(size)
    low = np.minimum(np.round(corners[:, :dims]).astype(int), np.array(size) - 1)
    high = np.maximum(np.round(corners[:, dims:]).astype(int), low + 1)
    for start, end in zip(low, high, strict=True):
        mask[tuple(slice(*ends) for ends in zip(start, end, strict=True))] = 1
    return mask

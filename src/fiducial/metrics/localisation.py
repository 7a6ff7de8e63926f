"""How well a map of one image agrees with its boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fiducial.metrics.boxes import Floats, overlap

SHARE = 0.2  # of a map's greatest value, from which a pixel belongs to its box


def pointed(values: NDArray[np.float32], boxes: Floats) -> bool:
    """Return whether the greatest value lies in a box: the pointing game, without a margin.

    Zhang et al., Top-down neural attention by excitation backprop, ECCV 2016, section 4.1. Of several greatest values
    the first counts; a map of zeros points nowhere.

    Args:
        values: `(*spatial)`.
        boxes: `(there, 2 * dims)`, in pixels.
    """
    if not values.any():
        return False
    dims = values.ndim
    place = np.array(np.unravel_index(int(values.argmax()), values.shape)) + 0.5
    return bool(((place >= boxes[:, :dims]) & (place < boxes[:, dims:])).all(axis=1).any())


def activated_box(values: NDArray[np.float32], share: float = SHARE) -> Floats:
    """Return the box around the largest connected part at or above a share of the greatest value, `(1, 2 * dims)`.

    Zhou et al., Learning deep features for discriminative localization, CVPR 2016, section 3.2. A map of zeros has
    none, `(0, 2 * dims)`.

    Args:
        values: `(*spatial)`.
        share: of the greatest value.
    """
    if not values.any():
        return np.zeros((0, 2 * values.ndim))
    parts, _ = ndimage.label(values >= share * values.max())
    largest = int(np.bincount(parts.ravel())[1:].argmax()) + 1
    ends = ndimage.find_objects(parts)[largest - 1]
    return np.array([[*(end.start for end in ends), *(end.stop for end in ends)]], np.float64)


def localisation_scores(values: NDArray[np.float32], boxes: Floats) -> dict[str, float]:
    """Return the scores of one image that has boxes.

    `pointing_game`: 1 if the greatest value lies in a box; `pointing_by_chance`: the share of pixels that boxes cover,
    which a random place would score; `box_overlap`: the greatest overlap (intersection over union) of the activated box
    with a box.

    Args:
        values: `(*spatial)`, how much each pixel speaks for the class.
        boxes: `(there, 2 * dims)`, in pixels, at least one.
    """
    covered, dims = np.zeros(values.shape, np.bool_), values.ndim
    for box in np.round(boxes).astype(int):
        covered[tuple(slice(low, high) for low, high in zip(box[:dims], box[dims:], strict=True))] = True
    return {
        "pointing_game": float(pointed(values, boxes)),
        "pointing_by_chance": float(covered.mean()),
        "box_overlap": float(overlap(activated_box(values), boxes).max(initial=0.0)),
    }

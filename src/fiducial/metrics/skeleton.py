"""Centre lines of thin structures, and how well they are met."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def skeleton(mask: Mask) -> Mask:
    """Return the centre lines of a mask.

    2D: thinned by Zhang and Suen (A fast parallel algorithm for thinning digital patterns, CACM 27:236, 1984). Lines
    are one pixel wide and as connected as the mask; of a part that thinning deletes, one pixel is kept.

    3D: Lantuéjoul's skeleton, by which soft clDice is defined. Its voxels are those that
    an opening takes from the mask, or from any of its erosions.
    """
    return _thinned(mask) if mask.ndim == 2 else _residues(mask)


def centreline_dice(predicted: Mask, truth: Mask) -> float:
    """Return clDice: the harmonic mean of the shares of either mask's centre lines that lie in the other mask.

    Neither mask may be empty. Shit et al., clDice - a novel topology-preserving loss function for tubular structure
    segmentation, CVPR 2021, eq. 1-3.
    """
    lines_predicted, lines_truth = skeleton(predicted), skeleton(truth)
    precision = np.count_nonzero(lines_predicted & truth) / np.count_nonzero(lines_predicted)
    sensitivity = np.count_nonzero(lines_truth & predicted) / np.count_nonzero(lines_truth)
    total = precision + sensitivity
    return 2 * precision * sensitivity / total if total else 0.0


def _deletable() -> NDArray[np.bool_]:
    """Return for each neighbourhood whether either pass of the thinning deletes the pixel, `(2, 256)`.

    Bit k of a neighbourhood is neighbour k, clockwise from the one above (P2 to P9 in the paper).
    """
    codes = np.arange(256)
    p = (codes[:, None] >> np.arange(8)) & 1
    count = p.sum(axis=1)
    rises = ((p == 0) & (np.roll(p, -1, axis=1) == 1)).sum(axis=1)
    up, right, down, left = p[:, 0], p[:, 2], p[:, 4], p[:, 6]
    common = (count >= 2) & (count <= 6) & (rises == 1)
    first = (up * right * down == 0) & (right * down * left == 0)
    second = (up * right * left == 0) & (up * down * left == 0)
    return np.stack([common & first, common & second])


_DELETABLE = _deletable()
_CLOCKWISE = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def _thinned(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    width = padded.shape[1]
    flat = padded.ravel()
    steps = np.array([rows * width + columns for rows, columns in _CLOCKWISE])
    alive = np.flatnonzero(flat)
    deleted = True
    while deleted:
        deleted = False
        for table in _DELETABLE:
            codes = (flat[alive[:, None] + steps] << np.arange(8)).sum(axis=1)
            gone = table[codes]
            flat[alive[gone]] = False
            alive, deleted = alive[~gone], deleted or bool(gone.any())
    return _with_small_parts(padded[1:-1, 1:-1], mask)


def _with_small_parts(lines: Mask, mask: Mask) -> Mask:
    """Add a pixel of each part that thinning leaves nothing of: squares of two by two."""
    parts, count = ndimage.label(mask, np.ones((3, 3), np.int8))
    lost = np.setdiff1d(np.arange(1, count + 1), parts[lines])
    numbers, first = np.unique(parts, return_index=True)
    lines.flat[first[np.isin(numbers, lost)]] = True
    return lines


def _residues(mask: Mask) -> Mask:
    cross = ndimage.generate_binary_structure(mask.ndim, 1)
    lines, eroded = np.zeros_like(mask), mask
    while eroded.any():
        smaller = ndimage.binary_erosion(eroded, cross)
        lines |= eroded & ~ndimage.binary_dilation(smaller, cross)
        eroded = smaller
    return lines

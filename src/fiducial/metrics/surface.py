"""Distances between the borders of two masks.

A border is the pixels of a mask with a neighbour outside it, across a face; what lies beyond the image counts as
outside. Distances run between the centres of border pixels, in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

ROUNDING = 1e-6  # mm: a neighbour exactly at the tolerance is within it

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]


def border(mask: Mask) -> Mask:
    """Return the pixels of a mask that have a neighbour outside it."""
    inner = ndimage.binary_erosion(mask, ndimage.generate_binary_structure(mask.ndim, 1), border_value=0)
    edge: Mask = mask & ~inner
    return edge


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between two borders.

    Attributes:
        forth: from each border pixel of the first mask to the nearest one of the second, mm.
        back: from each of the second to the nearest of the first.
    """

    forth: Distances
    back: Distances

    @classmethod
    def between(cls, first: Mask, second: Mask, spacing: Sequence[float]) -> SurfaceDistances:
        """Measure two masks, neither of them empty, on a grid with the given spacing in mm."""
        assert first.any()
        assert second.any()
        box = ndimage.find_objects((first | second).astype(np.uint8))[0]  # nothing outside it is nearest to anything
        borders = border(first[box]), border(second[box])
        to_first, to_second = (ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in borders)
        return cls(to_second[borders[0]], to_first[borders[1]])

    def hausdorff(self, percentile: float = 95.0) -> float:
        """Return the larger of the percentiles of the two directions, in mm; 100 gives the Hausdorff distance."""
        return float(max(np.percentile(self.forth, percentile), np.percentile(self.back, percentile)))

    def dice(self, tolerance: float) -> float:
        """Return the share of both borders that lies within `tolerance` mm of the other one.

        Nikolov et al., Deep learning to achieve clinically applicable segmentation, arXiv 1809.04430; they weigh
        border pixels by area, here each counts once.
        """
        limit = tolerance + ROUNDING
        near = np.count_nonzero(self.forth <= limit) + np.count_nonzero(self.back <= limit)
        return float(near / (len(self.forth) + len(self.back)))

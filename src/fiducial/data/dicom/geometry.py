"""Slices in order, their even spacing, and the affine of the volume that they make."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from fiducial.data.dicom.series import Slice
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNEVEN = 0.02  # share of the spacing by which one gap may differ
SHEARED = 1e-2  # share of a step that may lie in the plane (about 0.6°) before the volume is called sheared


def normal(one: Slice) -> NDArray[np.float64]:
    """Return the direction across a slice, a unit vector in LPS: rows × columns (PS3.3 C.7.6.2.1.1)."""
    import numpy as np

    cosines = np.array(one.orientation, np.float64)
    across: NDArray[np.float64] = np.cross(cosines[:3], cosines[3:])
    return across / np.linalg.norm(across)


def in_order(slices: Sequence[Slice]) -> list[Slice]:
    """Return slices by their position along the normal, whatever their files are called."""
    import numpy as np

    along = normal(slices[0])
    return sorted(slices, key=lambda one: float(np.dot(along, one.position or ())))


def check_even(slices: Sequence[Slice]) -> None:
    """Refuse ordered slices with two at one place, or a gap.

    Raises:
        InputError: naming the slices by their numbers in order, counted from 1, and the gap in mm.
    """
    import numpy as np

    along = normal(slices[0])
    places = np.array([np.dot(along, one.position or ()) for one in slices])
    gaps = np.diff(places)
    if not len(gaps):
        return
    step = float(np.median(gaps[gaps > 1e-3])) if (gaps > 1e-3).any() else 0.0
    for number, ((here, there), gap) in enumerate(zip(pairwise(places), gaps, strict=True), start=1):
        if gap <= 1e-3 or gap < step * 0.01:
            raise InputError(
                f"slices {number} and {number + 1} of {len(places)} are duplicates: both lie at {here:.2f} mm, and "
                "nothing tells them apart"
            )
        if abs(gap - step) > UNEVEN * step:
            missing = round(gap / step) - 1
            cause = f"{missing} missing" if missing > 0 and abs(gap / step - missing - 1) < 0.1 else "uneven spacing"
            raise InputError(
                f"between slices {number} and {number + 1} of {len(places)} (at {here:.2f} and {there:.2f} mm) there "
                f"are {gap:.2f} mm where {step:.2f} mm are expected: {cause}"
            )


def affine_of(slices: Sequence[Slice]) -> NDArray[np.float64]:
    """Return the affine from (column, row, slice) to mm in RAS+ of ordered slices.

    The step between slices is that of their positions, so a volume with a tilted gantry stays sheared.

    Raises:
        InputError: the slices do not lie on one line.
    """
    import numpy as np

    first = slices[0]
    cosines, (between_rows, between_columns) = np.array(first.orientation, np.float64), first.spacing or (1.0, 1.0)
    positions = np.array([one.position for one in slices], np.float64)
    if len(slices) > 1:
        step = (positions[-1] - positions[0]) / (len(slices) - 1)
        away = np.abs(positions - positions[0] - np.arange(len(slices))[:, None] * step).max()
        if away > max(UNEVEN * float(np.linalg.norm(step)), 0.01) * 2:
            raise InputError(f"the slices do not lie on one line: one is {away:.2f} mm beside it")
    else:
        step = normal(first) * (first.thickness or 1.0)
    affine = np.eye(4)
    affine[:3, 0] = cosines[:3] * between_columns
    affine[:3, 1] = cosines[3:] * between_rows
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def is_sheared(affine: NDArray[np.float64]) -> bool:
    """Tell whether the third axis is not at right angles to the others, as with a tilted gantry."""
    import numpy as np

    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes[:, :2].T @ axes[:, 2]).max() > SHEARED)

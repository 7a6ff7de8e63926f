"""The three planes of a volume as radiologists look at them: the patient's right is at the viewer's left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from fiducial.reports.figures.overlay import View


@dataclass(frozen=True)
class Plane:
    """How a plane is cut from a volume whose axes lead to the right, the front and the head.

    Attributes:
        name: of the plane.
        across: the axis that it is perpendicular to.
        columns: the axis along a row of the picture; the rows lie along the third one.
        edges: what lies at the picture's left, right, top and bottom.
    """

    name: str
    across: int
    columns: int
    edges: tuple[str, str, str, str]

    @property
    def rows(self) -> int:
        """The axis along a column of the picture."""
        return 3 - self.across - self.columns


PLANES = (
    Plane("axial", 2, 0, ("R", "L", "A", "P")),
    Plane("coronal", 1, 0, ("R", "L", "S", "I")),
    Plane("sagittal", 0, 1, ("A", "P", "S", "I")),
)


def canonical(volume: NDArray[Any], affine: NDArray[np.float64]) -> NDArray[Any]:
    """Return a volume with its axes turned and mirrored to lead to the right, the front and the head."""
    turned: NDArray[Any] = nibabel.orientations.apply_orientation(volume, _orientation(affine))  # type: ignore[no-untyped-call]
    return turned


def _orientation(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each axis of an array which of (right, front, head) it is nearest to, and its direction."""
    found: NDArray[np.float64] = nibabel.orientations.io_orientation(affine)  # type: ignore[no-untyped-call]
    return found


def three_planes(
    image: NDArray[Any],
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    affine: NDArray[np.float64],
    region: NDArray[np.bool_] | None = None,
) -> tuple[View, ...]:
    """Return the axial, the coronal and the sagittal plane that show the most of truth and prediction.

    Args:
        image: one channel of a volume, `(x, y, z)` in the axes of its file.
        truth: class numbers, likewise.
        predicted: likewise.
        affine: from array indices to mm, RAS+.
        region: where results count; everywhere if None.
    """
    counts = np.ones(truth.shape, bool) if region is None else region.astype(bool)
    volume, true, called, counting = (canonical(array, affine) for array in (image, truth, predicted, counts))
    order = _orientation(affine)[:, 0].astype(int)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)[np.argsort(order)]
    return tuple(_view(plane, volume, true, called, counting, spacing) for plane in PLANES)


def _view(
    plane: Plane,
    volume: NDArray[Any],
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    region: NDArray[np.bool_],
    spacing: NDArray[np.float64],
) -> View:
    others = tuple(axis for axis in range(3) if axis != plane.across)
    present = np.count_nonzero(((truth > 0) | (predicted > 0)) & region, axis=others)
    place = int(present.argmax()) if present.any() else volume.shape[plane.across] // 2
    image, true, called, counting = (_picture(array, plane, place) for array in (volume, truth, predicted, region))
    between = (float(spacing[plane.rows]), float(spacing[plane.columns]))
    return View(f"{plane.name} {place}", image, true, called, counting, spacing=between, edges=plane.edges)


def _picture(volume: NDArray[Any], plane: Plane, place: int) -> NDArray[Any]:
    """Return a plane with its first row on top; every axis leads away from the picture's upper left corner."""
    cut = np.moveaxis(volume, (plane.across, plane.rows, plane.columns), (0, 1, 2))[place]
    turned: NDArray[Any] = cut[::-1, ::-1]
    return turned

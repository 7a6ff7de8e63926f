"""Masks of SEG objects, on the grid of the series that they refer to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.dicom.segments import GREATEST
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom import Dataset

OFF_GRID = 0.1  # voxels


@dataclass(frozen=True)
class Grid:
    """Where a volume lies.

    Attributes:
        uid: its SeriesInstanceUID.
        shape: columns, rows, slices.
        affine: indices to mm (RAS+).
    """

    uid: str
    shape: tuple[int, ...]
    affine: NDArray[np.float64]


def mask_of(file: Path, grids: Sequence[tuple[str, Grid]], classes: Mapping[int, int]) -> tuple[str, NDArray[np.uint8]]:
    """Return the case that a SEG object belongs to, and the classes of its segments as a mask on that case's grid.

    Args:
        file: the SEG object.
        grids: cases, and where they lie.
        classes: of each segment's number; numbers are classes where there are none.

    Raises:
        InputError: its series is not among those imported, or its frames lie off the grid, or segments overlap.
    """
    import numpy as np
    import pydicom

    try:
        dataset = pydicom.dcmread(file)
        frames = (
            np.atleast_3d(dataset.pixel_array)
            if int(dataset.get("NumberOfFrames", 1)) > 1
            else dataset.pixel_array[None]
        )
        uids = {str(item.SeriesInstanceUID) for item in dataset.get("ReferencedSeriesSequence") or []}
    except Exception as error:  # the message of a library may quote the header
        raise InputError(f"the segmentation cannot be read ({type(error).__name__})") from None
    kind = dataset.get("SegmentationType")
    if kind not in ("BINARY", "LABELMAP"):
        raise InputError("only segmentations of type BINARY and LABELMAP are read")
    reasons = ["the series that it refers to was not imported"]
    for case, grid in grids:
        if grid.uid in uids:
            try:
                return case, _placed(dataset, frames, grid, classes, labelmap=kind == "LABELMAP")
            except InputError as error:
                reasons.append(str(error))
    raise InputError(reasons[-1])


def _placed(
    dataset: Dataset, frames: NDArray[Any], grid: Grid, classes: Mapping[int, int], *, labelmap: bool
) -> NDArray[np.uint8]:
    import numpy as np

    mask = np.zeros(grid.shape, np.uint8)
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for frame, groups in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        slot = _slice_of(groups, [groups, *shared], grid, frame.shape)
        plane = mask[:, :, slot]
        if labelmap:
            drawn = _classed(frame.T, classes)
        else:
            number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            drawn = _classed(frame.T.astype(bool) * number, classes)
        if ((plane > 0) & (drawn > 0) & (plane != drawn)).any():
            raise InputError("its segments overlap; a mask has one class a voxel")
        mask[:, :, slot] = np.maximum(plane, drawn)
    return mask


def _classed(numbers: NDArray[Any], classes: Mapping[int, int]) -> NDArray[np.uint8]:
    import numpy as np

    found, places = np.unique(numbers, return_inverse=True)
    listed = {**classes, 0: 0} if classes else {int(number): int(number) for number in found}
    if unknown := [int(number) for number in found if int(number) not in listed or listed[int(number)] > GREATEST]:
        raise InputError(f"its frames have a segment {unknown[0]}, which it does not list")
    return np.array([listed[int(number)] for number in found], np.uint8)[places.reshape(numbers.shape)]


def _slice_of(groups: Dataset, places: Sequence[Dataset], grid: Grid, size: tuple[int, ...]) -> int:
    """Return which slice of the grid a frame lies on."""
    import numpy as np

    try:
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, np.float64)
        cosines = np.array(
            next(
                p.PlaneOrientationSequence[0].ImageOrientationPatient for p in places if "PlaneOrientationSequence" in p
            ),
            np.float64,
        )
    except (AttributeError, StopIteration, TypeError, ValueError):
        raise InputError("a frame does not say where it lies") from None
    flip = np.array([-1.0, -1.0, 1.0])
    where = np.linalg.solve(grid.affine, [*(position * flip), 1.0])[:3]
    axes = grid.affine[:3, :2] / np.linalg.norm(grid.affine[:3, :2], axis=0)
    turned = np.abs(axes - np.stack([cosines[:3] * flip, cosines[3:] * flip], axis=1)).max() > 1e-3
    slot = round(float(where[2]))
    outside = size != grid.shape[1::-1] or not 0 <= slot < grid.shape[2]
    if turned or outside or np.abs(where - [0, 0, slot]).max() > OFF_GRID:
        raise InputError("its frames do not lie on the grid of the series that it refers to")
    return slot

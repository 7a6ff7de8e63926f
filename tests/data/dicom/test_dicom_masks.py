"""Masks of SEG objects on the grid of their series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom_files import SEG, VALUES, imported, item, made_up, stack, write, write_stack
from numpy.typing import NDArray

OBLIQUE = (0.8, 0.36, -0.48, 0.0, 0.8, 0.6)


def segmentation(slices: list[Any], mask: NDArray[Any]) -> Any:
    """Return a binary SEG of two segments, with a frame for each slice that one is on."""
    frames = [(number, slot) for number in (1, 2) for slot in range(len(mask)) if (mask[slot] == number).any()]
    planes = np.stack([mask[slot] == number for number, slot in frames]).astype(np.uint8)
    dataset = made_up(planes, kind=SEG, series="9", Modality="SEG", SegmentationType="BINARY")
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    packed = np.packbits(planes.ravel(), bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    dataset.ReferencedSeriesSequence = [item(SeriesInstanceUID=slices[0].SeriesInstanceUID)]
    orientation = item(ImageOrientationPatient=slices[0].ImageOrientationPatient)
    dataset.SharedFunctionalGroupsSequence = [item(PlaneOrientationSequence=[orientation])]
    dataset.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=slices[slot].ImagePositionPatient)],
            SegmentIdentificationSequence=[item(ReferencedSegmentNumber=number)],
        )
        for number, slot in frames
    ]
    return dataset


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), OBLIQUE])
def test_segmentation_lies_on_its_series(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    mask = np.zeros(VALUES.shape, np.uint8)
    mask[1:4, 2:4, 1:6], mask[4, 0, 3] = 1, 2
    slices = stack(VALUES, orientation=orientation)
    write_stack(slices, tmp_path / "in")
    write(segmentation(slices, mask), tmp_path / "in" / "seg.dcm")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    volume = nibabel.load(tmp_path / "out" / row["mask"])
    np.testing.assert_array_equal(np.asarray(volume.dataobj).T, mask)
    assert row["mask"].startswith("masks/")


def test_segmentation_off_the_grid_is_refused(tmp_path: Path) -> None:
    slices = stack(VALUES)
    write_stack(slices, tmp_path / "in")
    away = segmentation(stack(VALUES, origin=(-30, 13, 100)), (VALUES > 1500).astype(np.uint8))
    write(away, tmp_path / "in" / "seg.dcm")
    report, (row,) = imported(tmp_path / "in", tmp_path / "out")
    assert row["mask"] == ""
    assert "do not lie on the grid" in report.having("refused")[0]["notes"]


def test_damaged_segmentation_costs_nothing_else(tmp_path: Path) -> None:
    slices = stack(VALUES)
    write_stack(slices, tmp_path / "in")
    damaged = segmentation(slices, (VALUES > 1500).astype(np.uint8))
    del damaged.PerFrameFunctionalGroupsSequence
    write(damaged, tmp_path / "in" / "seg.dcm")
    report, (row,) = imported(tmp_path / "in", tmp_path / "out")
    assert row["mask"] == ""
    assert report.having("refused")[0]["notes"] == "it cannot be used (AttributeError)"


def test_overlapping_segments_are_refused(tmp_path: Path) -> None:
    slices = stack(VALUES)
    write_stack(slices, tmp_path / "in")
    both = segmentation(slices, np.ones(VALUES.shape, np.uint8))
    for number, groups in enumerate(both.PerFrameFunctionalGroupsSequence):
        groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 1 + number % 2
        groups.PlanePositionSequence[0].ImagePositionPatient = slices[number // 2].ImagePositionPatient
    write(both, tmp_path / "in" / "seg.dcm")
    report, _ = imported(tmp_path / "in", tmp_path / "out")
    assert "its segments overlap" in report.having("refused")[0]["notes"]

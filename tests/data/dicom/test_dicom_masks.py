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


def coded(number: int, *kinds: str, label: str = "", region: str = "") -> Any:
    """Return the description of a segment: what it shows, modifiers of that, and where."""
    first, *modifiers = [item(CodeValue=kind, CodingSchemeDesignator="SCT", CodeMeaning="Zelda") for kind in kinds]
    if modifiers:
        first.SegmentedPropertyTypeModifierCodeSequence = modifiers
    described = item(SegmentNumber=number, SegmentLabel=label, SegmentedPropertyTypeCodeSequence=[first])
    if region:
        described.AnatomicRegionSequence = [item(CodeValue=region, CodingSchemeDesignator="SCT", CodeMeaning="Zelda")]
    return described


KIDNEY, LIVER, LEFT, RIGHT, TISSUE = "64033007", "10200004", "7771000", "24028007", "85756007"


def study_of(folder: Path, segments: list[list[Any]]) -> None:
    """Write a series with a SEG object of segments 1 and 2 for each list of descriptions."""
    mask = np.zeros(VALUES.shape, np.uint8)
    mask[1:4, 2:4, 1:6], mask[4, 0, 3] = 1, 2
    for number, described in enumerate(segments):
        slices = stack(VALUES, series=str(10 + number))
        write_stack(slices, folder / str(number))
        dataset = segmentation(slices, mask)
        dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{number}"
        dataset.SegmentSequence = described
        write(dataset, folder / f"{number}" / "seg.dcm")


def classes_of(folder: Path, rows: list[dict[str, str]]) -> list[tuple[int, int]]:
    """Return the classes that segments 1 and 2 have in each mask."""
    masks = [np.asarray(nibabel.load(folder / row["mask"]).dataobj).T for row in rows]
    return sorted((int(mask[1, 2, 1]), int(mask[4, 0, 3])) for mask in masks)


def test_segments_of_one_meaning_are_one_class(tmp_path: Path) -> None:
    """Segment 1 is the left kidney in one file and the liver in the other."""
    one = [coded(1, KIDNEY, LEFT, label="left one"), coded(2, LIVER)]
    two = [coded(1, LIVER, label="Zelda's"), coded(2, KIDNEY, RIGHT)]
    study_of(tmp_path / "in", [one, two])
    _, rows = imported(tmp_path / "in", tmp_path / "out")
    lines = (tmp_path / "out" / "classes.csv").read_text().splitlines()
    assert lines[0] == "number,name,codes,masks"
    classes = {line.rpartition(",")[0].partition(",")[2]: int(line[0]) for line in lines[1:]}
    liver = classes[f"Liver,SCT {LIVER}"]
    left = classes[f'"Kidney, Left",SCT {KIDNEY}; SCT {LEFT}']
    right = classes[f'"Kidney, Right",SCT {KIDNEY}; SCT {RIGHT}']
    assert {liver, left, right} == {1, 2, 3}
    assert classes_of(tmp_path / "out", rows) == sorted([(left, liver), (liver, right)])
    assert "elda" not in "".join(lines)


def test_codes_of_several_segments_leave_it_to_the_labels(tmp_path: Path) -> None:
    one = [coded(1, TISSUE, label="left lung"), coded(2, TISSUE, label="Right  lung")]
    two = [coded(1, TISSUE, label="right lung"), coded(2, LIVER)]
    study_of(tmp_path / "in", [one, two])
    _, rows = imported(tmp_path / "in", tmp_path / "out")
    assert classes_of(tmp_path / "out", rows) == [(1, 2), (2, 3)]
    assert "lung" not in (tmp_path / "out" / "classes.csv").read_text(), "labels are typed by hand"


def test_files_that_agree_keep_their_numbers_and_places_tell_apart(tmp_path: Path) -> None:
    same = [coded(1, TISSUE, region=KIDNEY), coded(2, TISSUE, region=LIVER)]
    study_of(tmp_path / "in", [same, same])
    _, rows = imported(tmp_path / "in", tmp_path / "out")
    assert classes_of(tmp_path / "out", rows) == [(1, 2), (1, 2)]
    assert [line[-1] for line in (tmp_path / "out" / "classes.csv").read_text().splitlines()[1:]] == ["2", "2"]


def test_the_background_that_label_maps_describe_is_no_class(tmp_path: Path) -> None:
    """Frames of a label map hold numbers of segments, 0 among them, which may be described."""
    mask = np.zeros(VALUES.shape, np.uint8)
    mask[1:4, 2:4, 1:6], mask[4, 0, 3] = 1, 2
    slices = stack(VALUES)
    write_stack(slices, tmp_path / "in")
    dataset = segmentation(slices, mask)
    drawn = [slot for slot in range(len(mask)) if mask[slot].any()]
    pixels = mask[drawn]
    dataset.SegmentationType, dataset.NumberOfFrames = "LABELMAP", len(drawn)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelData = 7, pixels.tobytes() + b"\0" * (pixels.size % 2)
    dataset.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=slices[slot].ImagePositionPatient)]) for slot in drawn
    ]
    dataset.SegmentSequence = [item(SegmentNumber=0, SegmentLabel="Background"), coded(1, LIVER), coded(2, KIDNEY)]
    write(dataset, tmp_path / "in" / "seg.dcm")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    found = np.asarray(nibabel.load(tmp_path / "out" / row["mask"]).dataobj).T
    np.testing.assert_array_equal(found, mask)
    assert (tmp_path / "out" / "classes.csv").read_text().splitlines()[1:] == [
        f"1,Liver,SCT {LIVER},1",
        f"2,Kidney,SCT {KIDNEY},1",
    ]


def test_codes_of_a_scheme_of_somebodys_own_leave_it_to_the_labels(tmp_path: Path) -> None:
    """And what they say is written nowhere, under whatever scheme it stands."""
    one, two = ([coded(1, "X", label=label, region=LIVER), coded(2, KIDNEY)] for label in ("tumour", "edema"))
    for described in (one[0], two[0]):
        described.SegmentedPropertyTypeCodeSequence[0].CodeValue = "Quimby-Zelda"
    study_of(tmp_path / "in", [one, two])
    _, rows = imported(tmp_path / "in", tmp_path / "out")
    assert classes_of(tmp_path / "out", rows) == [(1, 3), (2, 3)]
    assert "Zelda" not in (tmp_path / "out" / "classes.csv").read_text()


def test_a_file_that_lists_no_segments_beside_others_that_do_is_refused(tmp_path: Path) -> None:
    study_of(tmp_path / "in", [[coded(1, LIVER), coded(2, KIDNEY)], []])
    report, rows = imported(tmp_path / "in", tmp_path / "out")
    assert sorted(bool(row["mask"]) for row in rows) == [False, True]
    assert "does not list its segments" in report.having("refused")[0]["notes"]


def test_a_segment_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    study_of(tmp_path / "in", [[coded(1, LIVER)]])
    report, (row,) = imported(tmp_path / "in", tmp_path / "out")
    assert row["mask"] == ""
    assert "a segment 2, which it does not list" in report.having("refused")[0]["notes"]


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

"""Geometry and values of series against SimpleITK."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 -- its usual name
from dicom_files import VALUES, imported, item, made_up, stack, write, write_stack
from numpy.typing import NDArray

OBLIQUE = (0.8, 0.36, -0.48, 0.0, 0.8, 0.6)
TURNED = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)  # sagittal


def simple_itk(folder: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return values `(slices, rows, columns)` and affine in RAS+ as SimpleITK reads a series."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), OBLIQUE, TURNED])
@pytest.mark.parametrize(("slope", "intercept", "kind"), [(1, -1024, "int16"), (0.37, 1.5, "float32")])
def test_volume_is_what_simpleitk_reads(
    tmp_path: Path, orientation: tuple[float, ...], slope: float, intercept: float, kind: str
) -> None:
    rule = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    write_stack(stack(VALUES, orientation=orientation, **rule), tmp_path / "in")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    volume = nibabel.load(tmp_path / "out" / row["path"])
    values, affine = simple_itk(tmp_path / "in")
    assert volume.dataobj.dtype == kind
    np.testing.assert_allclose(np.asarray(volume.dataobj).T, values, rtol=1e-6)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-5)
    assert (row["size"], row["spacing_mm"], row["unit"]) == ("7x5x6", "0.5x0.8x2.5", "HU")


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif("FIDUCIAL_DATA" not in os.environ, reason="FIDUCIAL_DATA is not set")
def test_real_study_is_what_simpleitk_reads(tmp_path: Path) -> None:
    place = Path(os.environ["FIDUCIAL_DATA"]) / "dicom" / "brain-mr-study"
    report, rows = imported(place, tmp_path / "out")
    assert not report.having("refused")
    read = [simple_itk(folder) for folder in sorted(place.iterdir())]
    assert len(rows) == len(read) == 5
    for row in rows:
        volume = nibabel.load(tmp_path / "out" / row["path"])
        mine = np.asarray(volume.dataobj).T
        same = [affine for values, affine in read if values.shape == mine.shape and (values == mine).all()]
        assert len(same) == 1
        np.testing.assert_allclose(volume.affine, same[0], atol=1e-4)
    assert {row["description"] for row in rows} == {"t1 post", "t1 pre reg", "flair reg", "t2 reg", "hippo crop"}
    assert len({(row["subject"], row["study"]) for row in rows}) == 1


def test_slopes_of_slices_differ(tmp_path: Path) -> None:
    slices = stack(VALUES)
    for number, dataset in enumerate(slices, start=1):
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.25 * number, 0
    write_stack(slices, tmp_path / "in")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    values = np.asarray(nibabel.load(tmp_path / "out" / row["path"]).dataobj)
    np.testing.assert_array_equal(values.T, VALUES * (0.25 * np.arange(1, 7))[:, None, None])


def test_sizes_and_orientations_are_told_apart(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in" / "a")
    smaller, turned = stack(VALUES[:, :4], origin=(0, 0, 0)), stack(VALUES, orientation=TURNED)
    for number, dataset in enumerate([*smaller, *turned]):
        dataset.SOPInstanceUID += f".{number}"
    write_stack(smaller, tmp_path / "in" / "b")
    write_stack(turned, tmp_path / "in" / "c")
    report, rows = imported(tmp_path / "in", tmp_path / "out")
    assert sorted(row["size"] for row in rows) == ["7x4x6", "7x5x6", "7x5x6"]
    assert all("one of several" in line["notes"] for line in report.lines)


def test_echoes_at_the_same_positions_are_cases_of_their_own(tmp_path: Path) -> None:
    slices = [*stack(VALUES, EchoNumbers=1), *stack(VALUES + 1, EchoNumbers=2)]
    for number, dataset in enumerate(slices):
        dataset.SOPInstanceUID += f".{number}"
    write_stack(slices, tmp_path / "in")
    _, rows = imported(tmp_path / "in", tmp_path / "out")
    means = {np.asarray(nibabel.load(tmp_path / "out" / row["path"]).dataobj).mean() for row in rows}
    assert means == {VALUES.mean(), VALUES.mean() + 1}


def test_patients_share_no_case_whatever_their_uids_are(tmp_path: Path) -> None:
    for patient, planes in (("a", VALUES[:3]), ("b", VALUES[3:])):
        slices = stack(planes, SeriesInstanceUID="", PatientID=patient)
        write_stack(slices, tmp_path / "in" / patient)
    _, rows = imported(tmp_path / "in", tmp_path / "out")
    assert [row["size"] for row in rows] == ["7x5x3", "7x5x3"]
    assert len({row["subject"] for row in rows}) == len({row["case"] for row in rows}) == 2


def test_tilted_gantry_keeps_its_shear(tmp_path: Path) -> None:
    slices = stack(VALUES)
    for number, dataset in enumerate(slices):
        dataset.ImagePositionPatient[1] += 0.5 * number
    write_stack(slices, tmp_path / "in")
    report, (row,) = imported(tmp_path / "in", tmp_path / "out")
    assert "sheared" in report.lines[0]["notes"]
    affine = nibabel.load(tmp_path / "out" / row["path"]).affine
    np.testing.assert_allclose(affine @ [0, 0, 5, 1], [30, -14.5, 112.5, 1], atol=1e-5)


def test_enhanced_frames_lie_where_each_says(tmp_path: Path) -> None:
    order = [3, 0, 5, 1, 4, 2]
    dataset = made_up(VALUES[order])
    dataset.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            PixelMeasuresSequence=[item(PixelSpacing=[0.8, 0.5], SliceThickness=2.5)],
            PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=-10)],
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 2.5 * number])]) for number in order
    ]
    write(dataset, tmp_path / "in" / "enhanced")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    volume = nibabel.load(tmp_path / "out" / row["path"])
    np.testing.assert_array_equal(np.asarray(volume.dataobj).T, VALUES.astype(int) * 2 - 10)
    np.testing.assert_allclose(volume.affine, np.diag([-0.5, -0.8, 2.5, 1]))

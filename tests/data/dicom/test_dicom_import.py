"""Geometry and values against SimpleITK, and what is refused."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 -- its usual name
import tifffile
from dicom_files import CAPTURE, DX, ROOT, SEG, US_FRAMES, item, made_up, stack, write, write_stack
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEGLSLossless, RLELossless

from fiducial.data.dicom.conversion import Options
from fiducial.data.dicom.labels import read_labels
from fiducial.data.dicom.pseudonym import Pseudonyms
from fiducial.data.dicom.report import Report
from fiducial.data.dicom.study import Import
from fiducial.data.formats import decode
from fiducial.errors import InputError

KEY = Pseudonyms(b"k" * 32)
OBLIQUE = (0.8, 0.36, -0.48, 0.0, 0.8, 0.6)
TURNED = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)  # sagittal
VALUES = np.random.default_rng(0).integers(0, 3000, (6, 5, 7)).astype(np.uint16)


def imported(place: Path, out: Path, **options: Any) -> tuple[Report, list[dict[str, str]]]:
    report = Import([place], out, KEY, Options(**options)).run()
    if not out.exists():
        return report, []
    with (out / "cases.csv").open() as file:
        return report, list(csv.DictReader(file))


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


def refusal(slices: list[Any], tmp_path: Path) -> str:
    write_stack(slices, tmp_path / "in")
    report, rows = imported(tmp_path / "in", tmp_path / "out")
    assert rows == []
    assert not (tmp_path / "out").exists()
    (line,) = report.having("refused")
    return line["notes"]


def test_missing_slice(tmp_path: Path) -> None:
    slices = stack(VALUES)
    del slices[3]
    message = refusal(slices, tmp_path)
    assert "between slices 3 and 4 of 5 (at 105.00 and 110.00 mm)" in message
    assert "5.00 mm where 2.50 mm are expected: 1 missing" in message


def test_duplicate_slice(tmp_path: Path) -> None:
    slices = stack(VALUES)
    slices.append(stack(VALUES)[2])
    slices[-1].SOPInstanceUID += ".7"
    assert "slices 3 and 4 of 7 are duplicates" in refusal(slices, tmp_path)


def test_no_pixel_data(tmp_path: Path) -> None:
    slices = stack(VALUES)
    del slices[4].PixelData
    assert refusal(slices, tmp_path) == "slice 5 of 6: there is no pixel data"


def test_compression_without_a_decoder_is_named(tmp_path: Path) -> None:
    dataset = made_up(VALUES[0], kind=DX)
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    dataset.PixelData = encapsulate([b"\0\1\2\3"])
    write(dataset, tmp_path / "in" / "x.dcm")
    report, _ = imported(tmp_path / "in", tmp_path / "out")
    (line,) = report.having("refused")
    if get_decoder(JPEGLSLossless).is_available:
        pytest.skip("a decoder of JPEG-LS is installed")
    assert "no decoder of JPEG-LS Lossless Image Compression is installed" in line["notes"]


def test_run_length_encoding_is_decoded(tmp_path: Path) -> None:
    dataset = made_up(VALUES[0], kind=DX)
    dataset.compress(RLELossless)
    write(dataset, tmp_path / "in" / "x.dcm")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(decode(tmp_path / "out" / row["path"])[0], VALUES[0])


def test_patients_share_no_case_whatever_their_uids_are(tmp_path: Path) -> None:
    for patient, planes in (("a", VALUES[:3]), ("b", VALUES[3:])):
        slices = stack(planes, SeriesInstanceUID="", PatientID=patient)
        write_stack(slices, tmp_path / "in" / patient)
    _, rows = imported(tmp_path / "in", tmp_path / "out")
    assert [row["size"] for row in rows] == ["7x5x3", "7x5x3"]
    assert len({row["subject"] for row in rows}) == len({row["case"] for row in rows}) == 2


def test_labels_are_joined_by_patient_and_by_series(tmp_path: Path) -> None:
    for number in range(3):
        write_stack(stack(VALUES, PatientID=f"p{number}", series=str(number)), tmp_path / "in" / str(number))
    labels = tmp_path / "labels.csv"
    for lines in ("patient_id,label\np0,ill\np2,well\n", f"series_uid,label\n{ROOT}.2.0,ill\n{ROOT}.2.2,well\n"):
        labels.write_text(lines)
        report = Import(
            [tmp_path / "in"], tmp_path / f"out{len(lines)}", KEY, Options(labels=read_labels(labels))
        ).run()
        assert len(report.having("imported")) == 3
        with (tmp_path / f"out{len(lines)}" / "cases.csv").open() as file:
            assert {row["subject"]: row["label"] for row in csv.DictReader(file)} == {
                KEY.name("subject", f"id\0p{number}\0"): label for number, label in enumerate(("ill", "", "well"))
            }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("patient,label\nQuimby,ill\n", "expected the columns label and one of series_uid, study_uid"),
        ("patient_id,label\nQuimby,ill\nQuimby,well\n", "line 3: its patient_id has another label in an earlier line"),
        ("patient_id\nQuimby\n", "expected the columns label"),
    ],
)
def test_labels_that_are_refused(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(lines)
    with pytest.raises(InputError, match=message) as refused:
        read_labels(tmp_path / "labels.csv")
    assert "Quimby" not in str(refused.value)


def test_result_in_a_folder_that_names_a_patient_is_refused(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in")
    with pytest.raises(InputError, match="the folder's path holds the PatientName of an image") as refused:
        imported(tmp_path / "in", tmp_path / "Zelda_Quimby" / "out")
    assert "elda" not in str(refused.value).removeprefix("--to")
    assert not (tmp_path / "Zelda_Quimby" / "out").exists()
    assert len(imported(tmp_path / "in", tmp_path / "Zelda" / "out")[1]) == 1  # a first name is no one in particular


def test_links_lead_back(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in")
    broken = stack(VALUES, series="2")
    del broken[2]
    write_stack(broken, tmp_path / "in" / "b")
    report = Import([tmp_path / "in"], tmp_path / "out", KEY, links=tmp_path / "links.csv").run()
    with (tmp_path / "links.csv").open() as file:
        links = {row["case"]: row for row in csv.DictReader(file)}
    assert links.keys() == {line["case"] for line in report.lines}
    assert all((row["patient_id"], row["patient_name"]) == ("MRN-7741902", "Quimby^Zelda") for row in links.values())
    assert sorted(len(row["files"].split("|")) for row in links.values()) == [5, 6]
    assert (tmp_path / "links.csv").stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="there is a table of links already"):
        Import([tmp_path / "in"], tmp_path / "out2", KEY, links=tmp_path / "links.csv")


def test_truncated_file_costs_its_series_only(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in" / "a")
    write_stack(stack(VALUES, series="2"), tmp_path / "in" / "b")
    victim = sorted((tmp_path / "in" / "b").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:-40])
    report, rows = imported(tmp_path / "in", tmp_path / "out")
    assert len(rows) == 1
    (line,) = report.having("refused")
    assert "cannot be decoded (may be cut off)" in line["notes"]


def test_damaged_headers_and_other_files(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    (tmp_path / "in" / "bad.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0")
    (tmp_path / "in" / "text.dcm").write_text("this is no DICOM at all, only called so")
    report, rows = imported(tmp_path / "in", tmp_path / "out")
    assert len(rows) == 1
    assert report.skipped["not DICOM"] == 1
    assert len(report.having("refused")) == 1


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


def test_tilted_gantry_keeps_its_shear(tmp_path: Path) -> None:
    slices = stack(VALUES)
    for number, dataset in enumerate(slices):
        dataset.ImagePositionPatient[1] += 0.5 * number
    write_stack(slices, tmp_path / "in")
    report, (row,) = imported(tmp_path / "in", tmp_path / "out")
    assert "sheared" in report.lines[0]["notes"]
    affine = nibabel.load(tmp_path / "out" / row["path"]).affine
    np.testing.assert_allclose(affine @ [0, 0, 5, 1], [30, -14.5, 112.5, 1], atol=1e-5)


def test_cine_at_one_place_is_a_sequence(tmp_path: Path) -> None:
    slices = stack(VALUES, step=0.0)
    for dataset, moment in zip(slices, (0, 40, 80, 120, 160, 200), strict=True):
        dataset.TriggerTime, dataset.Modality = moment, "MR"
    write_stack(slices, tmp_path / "in")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    assert (row["kind"], row["size"], row["frame_time_s"]) == ("sequence", "7x5x6", "0.04")
    np.testing.assert_array_equal(decode(tmp_path / "out" / row["path"])[0], VALUES)


@pytest.mark.parametrize("colour", [False, True])
def test_multi_frame_ultrasound(tmp_path: Path, colour: bool) -> None:
    frames = np.random.default_rng(1).integers(0, 255, (4, 5, 6, 3)).astype(np.uint8)
    frames = frames if colour else np.repeat(frames[..., :1], 3, axis=-1)
    region = item(PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3, PhysicalDeltaX=0.02, PhysicalDeltaY=0.03)
    dataset = made_up(
        frames, kind=US_FRAMES, FrameTime=33.3, BurnedInAnnotation="NO", SequenceOfUltrasoundRegions=[region]
    )
    write(dataset, tmp_path / "in" / "echo")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    assert (row["kind"], row["frame_time_s"], row["spacing_mm"]) == ("sequence", "0.0333", "0.2x0.3")
    values = np.asarray(nibabel.load(tmp_path / "out" / row["path"]).dataobj)
    expected = frames if colour else frames[..., 0]
    np.testing.assert_array_equal(values, expected.transpose(2, 1, 0, *[3] * colour))


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


def test_radiograph_becomes_bright_on_dark(tmp_path: Path) -> None:
    values = np.arange(20, dtype=np.uint16).reshape(4, 5) * 200
    more = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    dataset = made_up(values, kind=DX, WindowCenter=1000, WindowWidth=500, ImagerPixelSpacing=[0.2, 0.1], **more)
    write(dataset, tmp_path / "in" / "dx")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    with Image.open(tmp_path / "out" / row["path"]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), 4095 - values)
    assert (row["kind"], row["window"], row["spacing_mm"]) == ("image", "3095/500", "0.1x0.2")


def test_negative_values_of_an_image_become_tiff(tmp_path: Path) -> None:
    values = np.arange(-10, 10, dtype=np.int16).reshape(4, 5)
    write(made_up(values, kind=DX), tmp_path / "in" / "dx")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / row["path"]), values)


def capture(**more: Any) -> Any:
    return made_up(np.full((6, 8), 200, np.uint8), kind=CAPTURE, **more)


@pytest.mark.parametrize(
    ("dataset", "fine"),
    [
        (capture(), False),
        (capture(BurnedInAnnotation="NO"), True),
        (capture(BurnedInAnnotation="YES"), False),
        (made_up(VALUES[0], kind=DX, BurnedInAnnotation="YES"), False),
        (made_up(VALUES[:3].astype(np.uint8), kind=US_FRAMES), False),
    ],
)
def test_burned_in_text(tmp_path: Path, dataset: Any, fine: bool) -> None:
    write(dataset, tmp_path / "in" / "x")
    report, rows = imported(tmp_path / "in", tmp_path / "out")
    assert len(rows) == fine
    assert len(report.having("refused")) == (not fine)
    assert len(imported(tmp_path / "in", tmp_path / "accepted", burned_in="accept")[1]) == 1
    assert len(imported(tmp_path / "in", tmp_path / "masked", burned_in="mask")[1]) == fine


def test_masking_keeps_the_ultrasound_regions_only(tmp_path: Path) -> None:
    corners = {"RegionLocationMinX0": 2, "RegionLocationMinY0": 1, "RegionLocationMaxX1": 5, "RegionLocationMaxY1": 3}
    graphics = item(RegionSpatialFormat=5, **corners | {"RegionLocationMinY0": 0})
    dataset = capture(SequenceOfUltrasoundRegions=[item(RegionSpatialFormat=1, **corners), graphics])
    write(dataset, tmp_path / "in" / "x")
    imported(tmp_path / "in", tmp_path / "out", burned_in="mask")
    expected = np.zeros((6, 8), np.uint8)
    expected[1:4, 2:6] = 200
    (picture,) = (tmp_path / "out").rglob("*.png")
    np.testing.assert_array_equal(decode(picture)[0], expected)


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


def test_results_are_not_written_over_nor_among_the_studies(tmp_path: Path) -> None:
    write_stack(stack(VALUES), tmp_path / "in")
    with pytest.raises(InputError, match="must lie outside"):
        imported(tmp_path / "in", tmp_path / "in" / "out")
    imported(tmp_path / "in", tmp_path / "out")
    with pytest.raises(InputError, match="new or empty folder"):
        imported(tmp_path / "in", tmp_path / "out")
    with pytest.raises(InputError, match="no such file"):
        imported(tmp_path / "nothing", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]

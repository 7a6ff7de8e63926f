"""Single images and sequences: values, time, and text burned in."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from dicom_files import CAPTURE, DX, US_FRAMES, VALUES, imported, item, made_up, stack, write, write_stack
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from fiducial.data.dicom import study
from fiducial.data.formats import decode


def test_cine_at_one_place_is_a_sequence(tmp_path: Path) -> None:
    slices = stack(VALUES, step=0.0)
    for dataset, moment in zip(slices, (0, 40, 80, 120, 160, 200), strict=True):
        dataset.TriggerTime, dataset.Modality = moment, "MR"
    write_stack(slices, tmp_path / "in")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    assert (row["kind"], row["size"], row["frame_time_s"]) == ("sequence", "7x5x6", "0.04")
    np.testing.assert_array_equal(decode(tmp_path / "out" / row["path"])[0], VALUES)


@pytest.mark.parametrize("name", ["AcquisitionTime", "EchoTime", "InstanceNumber"])
def test_frames_are_ordered_by_what_tells_them_apart(tmp_path: Path, name: str) -> None:
    """The trigger time is the same in all of them, and the order of files and UIDs says nothing."""
    slices = stack(VALUES, step=0.0)
    for frame, (dataset, place) in enumerate(zip(slices, [3, 0, 5, 1, 4, 2], strict=True)):
        dataset.TriggerTime, dataset.AcquisitionTime, dataset.EchoTime, dataset.InstanceNumber = 0, "101112", 30, 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", f"M{place}"]  # tells them apart, and has no order
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.276.0.7230010.3.{place + 1}"
        setattr(dataset, name, f"1011{12 + frame}" if name == "AcquisitionTime" else frame + 1)
    write_stack(slices, tmp_path / "in")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    assert row["kind"] == "sequence"
    np.testing.assert_array_equal(decode(tmp_path / "out" / row["path"])[0], VALUES)


def test_frames_past_midnight_come_last(tmp_path: Path) -> None:
    slices = stack(VALUES, step=0.0)
    times = ["235958", "235959", "000000", "000001.5", "000002", "000003"]
    for dataset, time, number in zip(slices, times, [4, 2, 6, 1, 3, 5], strict=True):
        dataset.AcquisitionTime, dataset.InstanceNumber = time, number
    write_stack(slices, tmp_path / "in")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
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


def test_run_length_encoding_is_decoded(tmp_path: Path) -> None:
    dataset = made_up(VALUES[0], kind=DX)
    dataset.compress(RLELossless)
    write(dataset, tmp_path / "in" / "x.dcm")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(decode(tmp_path / "out" / row["path"])[0], VALUES[0])


def test_jpeg_2000_is_decoded(tmp_path: Path) -> None:
    values = (VALUES[0] // 12).astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(values).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
    dataset = made_up(values, kind=DX)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([stream.getvalue()])
    write(dataset, tmp_path / "in" / "x.dcm")
    _, (row,) = imported(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(decode(tmp_path / "out" / row["path"])[0], values)


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


def test_colours_of_sixteen_bits_are_written_as_tiff(tmp_path: Path) -> None:
    """A palette's entries have 16 bits, and PNG as Pillow writes it holds 8 of a colour."""
    rng = np.random.default_rng(0)
    numbers, entries = rng.integers(0, 256, (5, 7)).astype(np.uint8), rng.integers(0, 65536, (256, 3)).astype("<u2")
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for column, name in enumerate(("Red", "Green", "Blue")):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"{name}PaletteColorLookupTableData"] = entries[:, column].tobytes()
    write(made_up(numbers, kind=CAPTURE, BurnedInAnnotation="NO", **palette), tmp_path / "in" / "still")
    write(made_up(VALUES[0], kind=DX, series="2"), tmp_path / "in" / "dx")
    report, rows = imported(tmp_path / "in", tmp_path / "out")
    assert report.having("refused") == []
    (row,) = (row for row in rows if row["path"].endswith(".tif"))
    np.testing.assert_array_equal(decode(tmp_path / "out" / row["path"]), np.moveaxis(entries[numbers], -1, 0))


def test_a_series_that_cannot_be_written_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(stem: Path, values: Any, *more: Any) -> Path:
        if values.ndim > 2:
            stem.with_name(f"{stem.name}.png").write_bytes(b"half of it")
            raise TypeError("no such mode, as Pillow says it")
        return written(stem, values, *more)

    written = study.write_values
    monkeypatch.setattr(study, "write_values", failing)
    still = np.random.default_rng(1).integers(0, 255, (5, 6, 3)).astype(np.uint8)
    write(made_up(still, kind=CAPTURE, BurnedInAnnotation="NO"), tmp_path / "in" / "still")
    write(made_up(VALUES[0], kind=DX, series="2"), tmp_path / "in" / "dx")
    report, (row,) = imported(tmp_path / "in", tmp_path / "out")
    assert [line["notes"] for line in report.having("refused")] == ["it cannot be used (TypeError)"]
    left = {file.name for file in (tmp_path / "out" / "images").iterdir()}
    assert left == {Path(row["path"]).name, f"{Path(row['path']).stem}.json"}

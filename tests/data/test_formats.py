"""Every kind of file, written by one library and compared with what another one reads."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813  the name it goes by
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from fiducial.data.formats import decode
from fiducial.errors import InputError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3), np.uint8)
DEEP = RNG.integers(0, 4096, (5, 7), np.uint16)
VOLUME = RNG.integers(-1000, 1000, (3, 5, 7), np.int16)


def write_dicom(path: Path, pixels: np.ndarray, *, photometric: str = "MONOCHROME2", **elements: object) -> Path:
    """Write pixels `(rows, columns)`, `(frames, rows, columns)` or `(rows, columns, 3)` as a DICOM file."""
    colour = photometric == "RGB"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = photometric, 3 if colour else 1
    if colour:
        dataset.PlanarConfiguration = 0
    if pixels.ndim == 3 and not colour:
        dataset.NumberOfFrames = len(pixels)
    dataset.Rows, dataset.Columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored, dataset.HighBit = dataset.BitsAllocated, dataset.BitsAllocated - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def sitk_array(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_grey_picture_is_what_simpleitk_reads(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"grey{suffix}"
    Image.fromarray(GREY).save(path)
    found = decode(path)
    assert found.dtype == np.uint8
    expected = sitk_array(path)  # of a grey BMP, grey in three channels
    np.testing.assert_array_equal(found[0], expected if expected.ndim == 2 else expected[..., 1])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_colour_picture_is_what_simpleitk_reads(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"colour{suffix}"
    Image.fromarray(COLOUR).save(path)
    np.testing.assert_array_equal(decode(path), np.moveaxis(sitk_array(path), -1, 0))


@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_jpeg_is_what_simpleitk_reads(tmp_path: Path, pixels: np.ndarray) -> None:
    smooth = np.asarray(Image.fromarray(pixels).resize((32, 24)))
    path = tmp_path / "picture.jpg"
    Image.fromarray(smooth).save(path, quality=95, subsampling=0)
    expected = np.atleast_3d(sitk_array(path)).transpose(2, 0, 1)
    assert np.abs(decode(path).astype(int) - expected).max() <= 2  # two JPEG decoders round differently


def test_palette_alpha_and_one_bit_pictures(tmp_path: Path) -> None:
    palette = Image.fromarray(COLOUR).quantize(8)
    palette.save(tmp_path / "p.png")
    palette.save(tmp_path / "p.gif")
    expected = np.moveaxis(np.asarray(palette.convert("RGB")), -1, 0)
    np.testing.assert_array_equal(decode(tmp_path / "p.png"), expected)
    np.testing.assert_array_equal(decode(tmp_path / "p.gif"), expected)

    with_alpha = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())])
    with_alpha.save(tmp_path / "la.png")
    np.testing.assert_array_equal(decode(tmp_path / "la.png"), GREY[None])

    Image.fromarray(GREY > 127).save(tmp_path / "bit.png")
    np.testing.assert_array_equal(decode(tmp_path / "bit.png"), np.where(GREY > 127, 255, 0)[None])


def test_sixteen_bit_png_keeps_its_values(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    sitk.WriteImage(sitk.GetImageFromArray(DEEP), str(path))
    np.testing.assert_array_equal(decode(path), DEEP[None])


def test_animation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    frames = [Image.fromarray(GREY), Image.fromarray(GREY.T.copy().reshape(5, 7))]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="an animation of 2"):
        decode(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_of_sixteen_bits_are_not_cut_to_eight(tmp_path: Path, suffix: str) -> None:
    deep = RNG.integers(0, 65536, (5, 7, 3), np.uint16)
    path = tmp_path / f"deep{suffix}"
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path))
    writer.SetUseCompression(True)
    writer.SetCompressor("LZW" if suffix == ".tif" else "")
    writer.Execute(sitk.GetImageFromArray(deep, isVector=True))
    with pytest.raises(InputError, match=rf"deep\{suffix}: colours of 16 bits a channel are not read"):
        decode(path)
    tifffile.imwrite(tmp_path / "plain.tif", deep, photometric="rgb")  # what the message asks for
    np.testing.assert_array_equal(decode(tmp_path / "plain.tif"), np.moveaxis(deep, -1, 0))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_sixteen_bits_whose_lowest_value_is_white(tmp_path: Path, compression: str | None) -> None:
    """The stored values are the same with and without compression, and so is what is read."""
    path = tmp_path / "white.tif"
    Image.fromarray(DEEP).save(path, compression=compression, tiffinfo={262: 0})
    if compression is None:
        with tifffile.TiffFile(path) as file:
            np.testing.assert_array_equal(file.asarray(), DEEP)
    np.testing.assert_array_equal(decode(path)[0], 65535 - DEEP)


def test_tiff_compressed_as_cameras_do(tmp_path: Path) -> None:
    """DRIVE's photographs are LZW, which tifffile alone does not decode."""
    pixels = np.random.default_rng(0).integers(0, 255, (7, 9, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(decode(tmp_path / "photo.tif"), np.moveaxis(pixels, -1, 0))


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_grey_deep_and_pages(tmp_path: Path, compression: str | None) -> None:
    for name, pixels in {"grey": GREY, "deep": DEEP, "pages": VOLUME.astype(np.uint16)}.items():
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, pixels, photometric="minisblack", compression=compression)
        found = decode(path)
        assert found.dtype == pixels.dtype
        np.testing.assert_array_equal(found, sitk_array(path)[None])


@pytest.mark.parametrize(
    ("samples", "options", "kept"),
    [
        (5, {"photometric": "minisblack", "planarconfig": "contig"}, 5),
        (7, {"photometric": "minisblack", "planarconfig": "separate"}, 7),
        (2, {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]}, 1),
        (4, {"photometric": "rgb", "extrasamples": ["unassalpha"]}, 3),
        (4, {"photometric": "rgb", "extrasamples": ["unspecified"]}, 3),
        (6, {"photometric": "rgb", "extrasamples": ["unspecified"] * 3}, 6),
    ],
)
def test_tiff_keeps_all_channels_but_those_of_opacity(
    tmp_path: Path, samples: int, options: dict[str, Any], kept: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (11, 9, samples), np.uint8)
    planes = np.moveaxis(pixels, -1, 0)
    separate = options.get("planarconfig") == "separate"
    tifffile.imwrite(tmp_path / "a.tif", np.ascontiguousarray(planes) if separate else pixels, **options)
    np.testing.assert_array_equal(decode(tmp_path / "a.tif"), planes[:kept])


def test_tiff_colour_planes_alpha_palette_and_inverse(tmp_path: Path) -> None:
    expected = np.moveaxis(COLOUR, -1, 0)
    tifffile.imwrite(tmp_path / "planes.tif", expected, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(decode(tmp_path / "planes.tif"), expected)

    Image.fromarray(np.dstack([COLOUR, GREY])).save(tmp_path / "alpha.tif")
    np.testing.assert_array_equal(decode(tmp_path / "alpha.tif"), expected)

    palette = Image.fromarray(COLOUR).quantize(8)
    palette.save(tmp_path / "palette.tif")
    np.testing.assert_array_equal(
        decode(tmp_path / "palette.tif"), np.moveaxis(np.asarray(palette.convert("RGB")), -1, 0)
    )

    tifffile.imwrite(tmp_path / "inverse.tif", GREY, photometric="miniswhite")
    with Image.open(tmp_path / "inverse.tif") as image:
        np.testing.assert_array_equal(decode(tmp_path / "inverse.tif"), np.asarray(image)[None])


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "volume.npy", VOLUME)
    np.testing.assert_array_equal(decode(tmp_path / "volume.npy"), VOLUME[None])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("pixels", [GREY, VOLUME], ids=["2d", "3d"])
def test_nifti_axes_are_those_of_simpleitk(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    path = tmp_path / f"image{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
    np.testing.assert_array_equal(decode(path), sitk_array(path)[None])
    np.testing.assert_array_equal(decode(path), pixels[None])


def test_colours_of_a_nifti_file_are_channels(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (5, 4, 3, 3), np.uint8)  # x, y, frames, colours
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(decode(tmp_path / "a.nii.gz"), values.transpose(3, 2, 1, 0))


def test_message_about_a_dicom_file_quotes_nothing_of_its_header(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "x.dcm", GREY, RescaleSlope="1.2345", RescaleIntercept=0)
    path.write_bytes(path.read_bytes().replace(b"1.2345", b"Quimby"))
    with pytest.raises(InputError, match=r"x\.dcm: the image cannot be read: ValueError") as caught:
        decode(path)
    assert "Quimby" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_nifti_is_scaled_and_loses_single_trailing_axes(tmp_path: Path) -> None:
    path = tmp_path / "scaled.nii.gz"
    image = nibabel.Nifti1Image(VOLUME.T[..., None], np.diag([1, 2, 3, 1]))
    image.header.set_slope_inter(0.5, -10)
    nibabel.save(image, path)
    stored = nibabel.load(path).dataobj.get_unscaled()
    np.testing.assert_allclose(decode(path)[0], 0.5 * stored[..., 0].T - 10)


def test_dicom_grey_with_rescale_is_what_simpleitk_reads(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "ct.dcm", DEEP, RescaleSlope=2, RescaleIntercept=-1024)
    np.testing.assert_array_equal(decode(path), sitk_array(path))
    np.testing.assert_array_equal(decode(path)[0], 2.0 * DEEP - 1024)


def test_dicom_without_rescale_keeps_its_type(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "us.dcm", GREY)
    assert decode(path).dtype == np.uint8
    np.testing.assert_array_equal(decode(path), sitk_array(path))


@pytest.mark.parametrize(("stored", "highest"), [(DEEP, 4095), (VOLUME[0], -1)], ids=["unsigned", "signed"])
def test_dicom_where_low_is_bright(tmp_path: Path, stored: np.ndarray, highest: int) -> None:
    bits = {"BitsStored": 12, "HighBit": 11} if stored.dtype.kind == "u" else {}
    path = write_dicom(tmp_path / "cr.dcm", stored, photometric="MONOCHROME1", **bits)
    np.testing.assert_array_equal(decode(path)[0], highest - stored.astype(int))


def test_dicom_colour_and_frames(tmp_path: Path) -> None:
    colour = write_dicom(tmp_path / "colour.dcm", COLOUR, photometric="RGB")
    np.testing.assert_array_equal(decode(colour), np.moveaxis(COLOUR, -1, 0))
    frames = write_dicom(tmp_path / "frames.dcm", VOLUME)
    np.testing.assert_array_equal(decode(frames), sitk_array(frames)[None])
    np.testing.assert_array_equal(decode(frames), VOLUME[None])


def test_dicom_palette(tmp_path: Path) -> None:
    numbers, table = GREY % 4, np.array([[0, 10, 20, 30], [40, 50, 60, 70], [80, 90, 100, 110]], np.uint16)
    elements: dict[str, object] = {}
    for name, column in zip(("Red", "Green", "Blue"), table, strict=True):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        elements[f"{name}PaletteColorLookupTableData"] = column.tobytes()
    path = write_dicom(tmp_path / "palette.dcm", numbers, photometric="PALETTE COLOR", **elements)
    np.testing.assert_array_equal(decode(path), table[:, numbers])


def test_dicom_frames_each_with_its_own_rescale(tmp_path: Path) -> None:
    groups = []
    for slope, intercept in [(1, 0), (2, -5), (3, 10)]:
        rule, group = Dataset(), Dataset()
        rule.RescaleSlope, rule.RescaleIntercept = slope, intercept
        group.PixelValueTransformationSequence = [rule]
        groups.append(group)
    path = write_dicom(tmp_path / "frames.dcm", VOLUME, PerFrameFunctionalGroupsSequence=groups)
    expected = np.stack([VOLUME[0], 2.0 * VOLUME[1] - 5, 3.0 * VOLUME[2] + 10])
    np.testing.assert_array_equal(decode(path)[0], expected)
    shared = write_dicom(tmp_path / "shared.dcm", VOLUME, SharedFunctionalGroupsSequence=groups[1:2])
    np.testing.assert_array_equal(decode(shared)[0], 2.0 * VOLUME - 5)
    groups[1] = Dataset()  # a frame that says nothing takes what is shared
    mixed = {"PerFrameFunctionalGroupsSequence": groups, "SharedFunctionalGroupsSequence": groups[2:]}
    expected[1] = 3.0 * VOLUME[1] + 10
    np.testing.assert_array_equal(decode(write_dicom(tmp_path / "mixed.dcm", VOLUME, **mixed))[0], expected)
    other = {"SharedFunctionalGroupsSequence": [Dataset()], "RescaleSlope": 1, "RescaleIntercept": -1024}
    alone = write_dicom(tmp_path / "alone.dcm", VOLUME, **other)  # what is shared is something else
    np.testing.assert_array_equal(decode(alone)[0], VOLUME - 1024.0)


def test_dicom_with_an_empty_rescale_keeps_its_values(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "cr.dcm", DEEP, RescaleSlope=None, RescaleIntercept=None)
    np.testing.assert_array_equal(decode(path)[0], DEEP)


def test_dicom_without_suffix_is_known_by_its_content(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "IM0001", GREY)
    np.testing.assert_array_equal(decode(path)[0], GREY)


def test_dicom_without_pixels_is_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "report.dcm", GREY)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(InputError, match=r"report\.dcm: this DICOM object has no pixel data"):
        decode(path)


@pytest.mark.data
def test_real_dicom_is_what_simpleitk_reads() -> None:
    folder = Path(os.environ.get("FIDUCIAL_DATA", "")) / "dicom"
    if "FIDUCIAL_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("needs $FIDUCIAL_DATA/dicom")
    series = sorted({path.parent for path in folder.rglob("*.dcm")})
    assert series
    for path in (min(parent.glob("*.dcm")) for parent in series):
        expected = sitk_array(path)
        np.testing.assert_allclose(decode(path).squeeze(), expected.squeeze())


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.png: there is no such image"):
        decode(tmp_path / "missing.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"empty\.png: the image file is empty"):
        decode(tmp_path / "empty.png")
    (tmp_path / "notes.txt").write_text("grey")
    with pytest.raises(InputError, match=r"notes\.txt: not a kind of image that is read; expected one of \.png"):
        decode(tmp_path / "notes.txt")


def encoded(suffix: str, folder: Path) -> bytes:
    path = folder / f"whole{suffix}"
    pixels = RNG.integers(0, 256, (64, 64), np.uint8)
    if suffix in (".tif", ".npy"):
        tifffile.imwrite(path, pixels) if suffix == ".tif" else np.save(path, pixels)
    elif suffix.startswith(".nii"):
        nibabel.save(nibabel.Nifti1Image(pixels, np.eye(4)), path)
    elif suffix == ".dcm":
        write_dicom(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    return path.read_bytes()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # nibabel leaves a damaged file open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".bmp", ".tif", ".npy", ".nii", ".nii.gz", ".dcm"])
def test_damaged_file_is_named(tmp_path: Path, suffix: str) -> None:
    content = encoded(suffix, tmp_path)
    for name, damaged in {"half": content[: len(content) // 2], "noise": b"no image" * 40}.items():
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=rf"{name}\{suffix}: the image cannot be read: "):
            decode(path)


def test_pickled_array_is_refused_and_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "object.npy", np.array([open], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"object\.npy: the image cannot be read: .*allow_pickle"):
        decode(tmp_path / "object.npy")


@pytest.mark.parametrize("array", [np.zeros((0, 4)), np.zeros((2, 2), complex), np.array([["a"]])])
def test_array_that_is_no_image_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    stream = io.BytesIO()
    np.save(stream, array)
    (tmp_path / "odd.npy").write_bytes(stream.getvalue())
    with pytest.raises(InputError, match=r"odd\.npy: expected an image of numbers, got "):
        decode(tmp_path / "odd.npy")

"""Kinds of image file: the stored values of one file as an array.

Axes are in array order: rows then columns; for volumes slices, rows, columns, as the file stores them and as
SimpleITK's `GetArrayFromImage` returns them. Nothing is reoriented.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.room import check_room
from fiducial.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
SUFFIXES = (*PICTURES, ".tif", ".tiff", ".npy", ".nii", ".nii.gz", ".dcm")


def stem_of(path: Path) -> str:
    """Return a file's name without the ending that says what it is; dots before that are part of the name."""
    ends = (end for end in sorted(SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(end))
    return path.name[: -len(end)] if (end := next(ends, "")) else path.name


def decode(path: Path) -> NDArray[Any]:
    """Return the stored values, `(channels, *spatial)`, in the file's own type; DICOM is rescaled (CT: HU).

    Raises:
        InputError: the file is missing, empty, damaged, or not an image.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such image")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the image file is empty")
    reader = _reader_of(path)
    try:
        pixels = reader(path)
    except InputError:
        raise
    except Exception as error:  # each library has errors of its own for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if reader is _dicom:  # pydicom's messages quote the header, which may name a person; so does their trace
            raise InputError(f"{path}: the image cannot be read: {type(error).__name__}") from None
        raise InputError(f"{path}: the image cannot be read: {reason}") from error
    if pixels.dtype.kind not in "biuf" or not pixels.size:
        raise InputError(f"{path}: expected an image of numbers, got {pixels.dtype} of shape {pixels.shape[1:]}")
    return pixels


def _reader_of(path: Path) -> Callable[[Path], NDArray[Any]]:
    name = path.name.lower()
    if name.endswith(PICTURES):
        return _picture
    if name.endswith((".tif", ".tiff")):
        return _tiff
    if name.endswith(".npy"):
        return _npy
    if name.endswith((".nii", ".nii.gz")):
        return _nifti
    if name.endswith(".dcm") or _has_dicom_mark(path):
        return _dicom
    raise InputError(f"{path}: not a kind of image that is read; expected one of {', '.join(SUFFIXES)}")


def _has_dicom_mark(path: Path) -> bool:
    """Return whether a file is DICOM by its content: scanners often give no suffix."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _picture(path: Path) -> NDArray[Any]:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        check_room((*image.size, len(image.getbands())), path)
        if image.format == "GIF" and getattr(image, "n_frames", 1) > 1:
            raise InputError(f"{path}: expected one picture, got an animation of {getattr(image, 'n_frames', 0)}")
        _refuse_cut(image, path)
        if image.mode in ("1", "L", "LA"):
            return np.asarray(image.convert("L"))[None]
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            return np.asarray(image)[None]
        return np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)


def _refuse_cut(image: Image.Image, path: Path) -> None:
    """Refuse colours of 16 bits a channel: Pillow would give the upper 8 of them."""
    if image.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        raise InputError(
            f"{path}: colours of 16 bits a channel are not read from this kind of file; save it as TIFF without "
            "compression, or with 8 bits"
        )


def _tiff(path: Path) -> NDArray[Any]:
    import numpy as np
    import tifffile

    with tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.pages.first
        if page.compression in (tifffile.COMPRESSION.LZW, tifffile.COMPRESSION.JPEG) and len(series.pages) == 1:
            pixels = _picture(path)  # tifffile decodes these only with a package of its own
            turned = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype == np.uint16
            return np.iinfo(np.uint16).max - pixels if turned else pixels  # Pillow turns round 8 bits, but not 16
        check_room(series.shape, path)
        pixels, axes, colormap = series.asarray(), series.axes, page.colormap
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = np.iinfo(pixels.dtype).max - pixels
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE and colormap is not None:
        return (colormap[:, pixels] >> 8).astype(np.uint8)  # the map's entries have 16 bits
    colour = next((axes.index(letter) for letter in "SC" if letter in axes), None)
    if colour is None:
        return pixels[None]
    channels = np.moveaxis(pixels, colour, 0)
    return channels[: len(channels) - _opacities(page, len(channels))]


def _opacities(page: Any, count: int) -> int:
    """Return how many of a TIFF page's last samples say how opaque a pixel is, and are no channels."""
    import tifffile

    told = sum(int(extra) in (1, 2) for extra in page.extrasamples)  # associated or unassociated alpha
    untold = page.photometric == tifffile.PHOTOMETRIC.RGB and count == 4 and len(page.extrasamples) == 1
    return max(told, int(untold))


def _npy(path: Path) -> NDArray[Any]:
    import numpy as np

    pixels: NDArray[Any] = np.load(path, allow_pickle=False)
    return pixels[None]


def _nifti(path: Path) -> NDArray[Any]:
    import nibabel
    import numpy as np

    volume: Any = nibabel.load(path)
    check_room(volume.shape, path)
    values: NDArray[Any] = np.asarray(volume.dataobj)  # (x, y, z)
    while values.ndim > 2 and values.shape[-1] == 1:
        values = values[..., 0]
    return values.T if values.ndim > 3 else values.T[None]  # what follows (x, y, z) are channels, such as colours


def _dicom(path: Path) -> NDArray[Any]:
    import numpy as np
    import pydicom
    from pydicom.pixels.processing import apply_color_lut

    from fiducial.data.dicom.pixels import top_of

    dataset = pydicom.dcmread(path)
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise InputError(f"{path}: this DICOM object has no pixel data")
    pixels, kind = dataset.pixel_array, dataset.get("PhotometricInterpretation")
    if kind == "PALETTE COLOR":
        return np.moveaxis(apply_color_lut(pixels, dataset), -1, 0)
    if dataset.get("SamplesPerPixel", 1) > 1:
        return np.moveaxis(pixels, -1, 0)
    if kind == "MONOCHROME1":  # low values are bright
        pixels = top_of(dataset) - pixels
    return _rescaled(pixels, dataset)[None]


def _rescaled(pixels: NDArray[Any], dataset: Any) -> NDArray[Any]:
    """Return stored values in the units of the modality (CT: HU); multi-frame objects may say how frame by frame."""
    import numpy as np

    from fiducial.data.dicom.pixels import rescaled

    if "PerFrameFunctionalGroupsSequence" not in dataset or pixels.ndim < 3:
        return rescaled(pixels, dataset)
    return np.stack([rescaled(frame, dataset, number) for number, frame in enumerate(pixels)])

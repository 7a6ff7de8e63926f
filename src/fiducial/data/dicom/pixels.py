"""Stored values in the units of the modality, bright where the tissue is bright."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fiducial.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

UNITS = ("HU", "OD", "BQML", "CNTS", "GML", "PROPCPS", "MGML")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
INTEGERS = ("int16", "uint16", "int32")


def stored(dataset: Dataset) -> NDArray[Any]:
    """Return the values of a file, `(frames, rows, columns)` or `(frames, rows, columns, 3)`, low values dark.

    Raises:
        InputError: there are none, or they are cut off or damaged.
    """
    import numpy as np
    from pydicom.pixels.processing import apply_color_lut

    if not any(name in dataset for name in PIXELS):
        raise InputError("there is no pixel data")
    try:
        values = dataset.pixel_array
    except Exception as error:  # the message of a library may quote the header
        reason = "may be cut off" if isinstance(error, ValueError | EOFError) else type(error).__name__
        if lacking := _without_decoder(dataset):
            reason = f"no decoder of {lacking} is installed; python-gdcm has one"
        raise InputError(f"the pixel data cannot be decoded ({reason})") from None
    kind = dataset.get("PhotometricInterpretation")
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
    colour = values.shape[-1:] == (3,) and (dataset.get("SamplesPerPixel", 1) == 3 or kind == "PALETTE COLOR")
    values = values if values.ndim == 3 + colour else values[None]
    if kind == "MONOCHROME1":
        values = (top_of(dataset) - values.astype(np.int32)).astype(values.dtype)
    return values


def _without_decoder(dataset: Dataset) -> str:
    """Return the name of a file's compression if nothing that is installed decodes it, or an empty string."""
    from pydicom.pixels.decoders.base import get_decoder

    try:
        kind = dataset.file_meta.TransferSyntaxUID
        return "" if get_decoder(kind).is_available else str(kind.name)
    except (AttributeError, NotImplementedError):  # none is told, or one that nothing decodes
        return ""


def top_of(dataset: Dataset) -> int:
    """Return the sum of the lowest and highest value that a file's pixels can have."""
    return -1 if dataset.get("PixelRepresentation") else 2 ** int(dataset.BitsStored) - 1


def rescale_of(dataset: Dataset, frame: int | None) -> tuple[float, float]:
    """Return slope and intercept of a frame: its own, the shared ones, or those of the dataset."""
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    places = [*([frames[frame or 0]] if frames else []), *(dataset.get("SharedFunctionalGroupsSequence") or [])]
    rules = [
        place["PixelValueTransformationSequence"][0] for place in places if "PixelValueTransformationSequence" in place
    ]
    rule = (rules or [dataset])[0]
    slope, intercept = rule.get("RescaleSlope"), rule.get("RescaleIntercept")
    return float(1 if slope in (None, "") else slope), float(0 if intercept in (None, "") else intercept)


def rescaled(values: NDArray[Any], dataset: Dataset, frame: int | None = None) -> NDArray[Any]:
    """Return values in the units of the modality (CT: HU): integers where that is exact, else float32."""
    import numpy as np
    from pydicom.pixels.processing import apply_modality_lut

    if "ModalityLUTSequence" in dataset:
        return np.asarray(apply_modality_lut(values, dataset))
    slope, intercept = rescale_of(dataset, frame)
    if values.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer():
        if (slope, intercept) == (1, 0):
            return values
        small = values.itemsize <= 2 and abs(slope) < 2**14 and abs(intercept) < 2**30
        return values.astype(np.int32 if small else np.int64) * int(slope) + int(intercept)
    return (values.astype(np.float64) * slope + intercept).astype(np.float32)


def compact(values: NDArray[Any]) -> NDArray[Any]:
    """Return integers in the smallest type of 16 bits and more that holds them all, others as float32; 8 bits stay.

    Twelve-bit images never become 8-bit by chance: cases of one set would then differ in type.
    """
    import numpy as np

    if values.dtype == np.uint8:
        return values
    if values.dtype.kind not in "iu":
        return values.astype(np.float32, copy=False)
    low, high = int(values.min()), int(values.max())
    fits = (kind for kind in INTEGERS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return values.astype(next(fits, "float32"), copy=False)


def unit_of(dataset: Dataset) -> str:
    """Return the unit of rescaled values: HU of a CT, a code that the standard has, or nothing."""
    told = str(dataset.get("RescaleType") or dataset.get("Units") or "")
    if told in UNITS:
        return told
    return "HU" if dataset.get("Modality") == "CT" else ""


def window_of(dataset: Dataset) -> str:
    """Return the first window as `centre/width`, in the values that are written, or an empty string."""
    centre, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        return ""
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        slope, intercept = rescale_of(dataset, None)
        centre = top_of(dataset) * slope + 2 * intercept - centre
    return f"{centre:g}/{width:g}"


def _first(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else float(value[0])
    except (TypeError, ValueError, IndexError):
        return None

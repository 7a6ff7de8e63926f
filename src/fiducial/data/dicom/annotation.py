"""Text burned into pixels: where it is announced or likely, and what of an ultrasound image is surely image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom import Dataset

BurnedIn = Literal["refuse", "mask", "accept"]
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
LIKELY = ("US", "IVUS", "BDUS", "SC", "OT", "ES", "GM", "XC", "RF", "XA")
SCREEN = ("WSD", "DV", "SD", "DI", "DF", "SI", "DRW")  # conversion types: workstation, video, scanned, drawn
IMAGE_FORMATS = (1, 2, 3)  # 2D, M-mode and spectral; the others are waveforms and graphics


def announced(dataset: Dataset) -> str:
    """Return why pixels may hold text about a person, or an empty string.

    YES is believed and so is NO. Where nothing is said, ultrasound and screen captures are suspected.
    """
    said = str(dataset.get("BurnedInAnnotation", "") or "").strip().upper()
    if said == "YES":
        return "BurnedInAnnotation says YES"
    if said == "NO":
        return ""
    if str(dataset.get("SOPClassUID", "")).startswith(SECONDARY_CAPTURE):
        return "a screen capture that does not say whether text is burned in"
    if str(dataset.get("ConversionType", "")) in SCREEN:
        return "a converted image that does not say whether text is burned in"
    if str(dataset.get("Modality", "")) in LIKELY:
        return "an image of a kind that often has text burned in, and does not say so"
    return ""


def kept_area(dataset: Dataset, policy: BurnedIn) -> NDArray[np.bool_] | None:
    """Return which pixels `(rows, columns)` may stay, or None for all.

    Raises:
        InputError: text is announced or likely, and may not stay, or nothing says where the image is.
    """
    import numpy as np

    reason = announced(dataset)
    if not reason or policy == "accept":
        return None
    regions = [region for region in dataset.get("SequenceOfUltrasoundRegions") or [] if _is_image(region)]
    if policy == "refuse" or not regions:
        way = "--burned-in accept keeps it"
        if regions:
            way = f"--burned-in mask blanks what lies outside its ultrasound regions, {way}"
        raise InputError(f"{reason}; {way}")
    area = np.zeros((int(dataset.Rows), int(dataset.Columns)), np.bool_)
    for region in regions:
        left, top, right, bottom = (
            max(int(region[name].value), 0)
            for name in ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
        )
        area[top : bottom + 1, left : right + 1] = True
    return area


def _is_image(region: Any) -> bool:
    corners = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
    return region.get("RegionSpatialFormat", 1) in IMAGE_FORMATS and all(name in region for name in corners)

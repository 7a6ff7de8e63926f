"""One series as one array with its geometry, its row in the table, and the numbers of its acquisition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.dicom.annotation import BurnedIn, kept_area
from fiducial.data.dicom.deidentify import Dates, deidentify, numbers_of
from fiducial.data.dicom.description import MODALITIES, protocol_words
from fiducial.data.dicom.geometry import affine_of, check_even, in_order, is_sheared
from fiducial.data.dicom.identity import identifiers_in, subject_key
from fiducial.data.dicom.labels import Labels
from fiducial.data.dicom.pixels import compact, rescaled, stored, unit_of, window_of
from fiducial.data.dicom.pseudonym import Pseudonyms
from fiducial.data.dicom.series import MOMENTS, Series, Slice
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom import Dataset

COLUMNS = (
    *("path", "subject", "case", "label", "mask", "study", "series", "date", "modality", "kind", "description"),
    *("size", "spacing_mm", "frame_time_s", "unit", "window"),
)
NOON = 120000  # HHMMSS
CENTIMETRES = 3  # PhysicalUnitsXDirection of an ultrasound region


@dataclass(frozen=True)
class Options:
    """What is asked of an import.

    Attributes:
        dates: shifted by the subject's days, or removed.
        burned_in: what happens to pixels in which text is announced or likely.
        labels: of patients, studies or series.
    """

    dates: Dates = "shift"
    burned_in: BurnedIn = "refuse"
    labels: Labels = field(default_factory=Labels)


@dataclass
class Case:
    """One imported series.

    Attributes:
        series: where it came from.
        row: its line of the table.
        values: `(columns, rows, slices or frames)`, with colours along a last axis; an image `(rows, columns[, 3])`.
        affine: indices to mm (RAS+); None for an image.
        acquisition: numbers of the first file's header that say nothing about a person, by attribute.
        changes: what de-identification did, by reason and tag.
        notes: what a user should know.
    """

    series: Series
    row: dict[str, str]
    values: NDArray[Any]
    affine: NDArray[np.float64] | None
    acquisition: dict[str, Any] = field(default_factory=dict)
    changes: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def case_name(series: Series, pseudonyms: Pseudonyms) -> str:
    """Return the id of a case, which does not depend on the names or the order of files."""
    first = min((part.instance, part.frame or 0) for part in series.slices)
    return pseudonyms.name("case", f"{series.patient}\0{series.uid}\0{first}")


def convert(series: Series, pseudonyms: Pseudonyms, options: Options) -> Case:
    """Read a series, check it, and return it without identifiers.

    Args:
        series: the slices.
        pseudonyms: of the key.
        options: of dates and burned-in text.

    Raises:
        InputError: it cannot be used; the message holds no identifier.
    """
    ordered = _ordered(series)
    affine = _affine(series, ordered)
    frames: dict[Any, NDArray[Any]] = {}
    changes: Counter[str] = Counter()
    row: dict[str, str] = {}
    acquisition: dict[str, Any] = {}
    known: frozenset[str] = frozenset()
    for file, places in _by_file(ordered).items():
        try:
            dataset = _read(file)
            frames |= _frames(dataset, [ordered[place] for place in places], options)
        except InputError as error:
            where = f"slice {places[0] + 1} of {len(ordered)}: " if len(ordered) > 1 else ""
            raise InputError(f"{where}{error}") from None
        known = identifiers_in(dataset) if not row else known  # the files of a series are of one patient
        facts = row or _facts(dataset, series, ordered, pseudonyms, known) | {"label": options.labels.of(dataset)}
        changes.update(deidentify(dataset, pseudonyms, options.dates, known))
        if not row:
            row, acquisition = facts | _dated(dataset), numbers_of(dataset)
    values = _stacked(series, [frames[_key(one)] for one in ordered])
    row["size"] = "x".join(map(str, values.shape))
    return Case(series, row, values, affine, acquisition, changes, _notes(series, affine))


def _notes(series: Series, affine: NDArray[np.float64] | None) -> list[str]:
    notes = [f"one of several in its series, by {series.split}"] if series.split else []
    if affine is not None and is_sheared(affine):
        notes.append("sheared: the gantry was tilted")
    return notes


def _by_file(ordered: Sequence[Slice]) -> dict[Path, list[int]]:
    """Return which places each file fills, in the order of the first."""
    places: dict[Path, list[int]] = {}
    for place, one in enumerate(ordered):
        places.setdefault(one.file, []).append(place)
    return places


def _ordered(series: Series) -> list[Slice]:
    if series.kind == "volume":
        ordered = in_order(series.slices)
        check_even(ordered)
        return ordered
    if series.kind == "sequence" and series.slices[0].position is not None:
        return _in_time(series.slices)
    return list(series.slices)


def _in_time(slices: Sequence[Slice]) -> list[Slice]:
    """Return slices by the first attribute that is another number in each, or else by their UIDs."""
    for name in MOMENTS:
        try:
            moments = [float(one.phases[name]) for one in slices]
        except (KeyError, ValueError):
            continue
        if name == "AcquisitionTime" and max(moments) - min(moments) > NOON:  # HHMMSS, past midnight
            moments = [moment + 2 * NOON if moment < NOON else moment for moment in moments]
        if len(set(moments)) == len(moments):
            return [one for _, one in sorted(zip(moments, slices, strict=True), key=lambda pair: pair[0])]
    return sorted(slices, key=lambda one: one.instance)


def _key(one: Slice) -> Any:
    return (one.file, one.frame)


def _read(file: Path) -> Dataset:
    import pydicom

    try:
        return pydicom.dcmread(file, force=file.suffix.lower() == ".dcm")
    except Exception as error:  # the message of a library may quote the header
        raise InputError(f"the file cannot be read ({type(error).__name__})") from None


def _frames(dataset: Dataset, slices: Sequence[Slice], options: Options) -> dict[Any, NDArray[Any]]:
    """Return the rescaled frames of one file by slice, with what may not stay blanked."""
    import numpy as np

    area = kept_area(dataset, options.burned_in)
    values = stored(dataset)
    wanted = [one.frame or 0 for one in slices]
    if max(wanted) >= len(values):
        raise InputError(f"{max(wanted) + 1} frames are announced, {len(values)} are there")
    if area is not None:
        values = np.where(area[..., None] if values.ndim > 3 else area, values, 0).astype(values.dtype)
    if values.ndim > 3:
        return {_key(one): values[one.frame or 0] for one in slices}
    return {_key(one): rescaled(values[one.frame or 0], dataset, one.frame) for one in slices}


def _stacked(series: Series, frames: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return frames as one array in NIfTI's order of axes; grey stored as colour becomes grey."""
    import numpy as np

    values = np.stack(frames)
    if values.ndim > 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    values = compact(values)
    if series.kind == "image":
        return np.asarray(values[0])
    return np.moveaxis(values, (0, 1, 2), (2, 1, 0))


def _affine(series: Series, ordered: Sequence[Slice]) -> NDArray[np.float64] | None:
    import numpy as np

    if series.kind == "image":
        return None
    if series.kind == "volume":
        return affine_of(ordered)
    if ordered[0].position is not None:
        return affine_of(ordered[:1])
    rows, columns = ordered[0].spacing or _region_spacing(ordered[0].file) or (1.0, 1.0)
    return np.diag([columns, rows, 1.0, 1.0])


def _region_spacing(file: Path) -> tuple[float, float] | None:
    """Return mm between rows and between columns of the first ultrasound region that tells centimetres."""
    import pydicom

    dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SequenceOfUltrasoundRegions"])
    for region in dataset.get("SequenceOfUltrasoundRegions") or []:
        if region.get("PhysicalUnitsXDirection") == region.get("PhysicalUnitsYDirection") == CENTIMETRES:
            spacing = (abs(float(region.PhysicalDeltaY)) * 10, abs(float(region.PhysicalDeltaX)) * 10)
            return spacing if min(spacing) > 0 else None
    return None


def _facts(
    dataset: Dataset, series: Series, ordered: Sequence[Slice], pseudonyms: Pseudonyms, known: frozenset[str]
) -> dict[str, str]:
    """Return what the table says of a case, from a dataset that still has its identifiers: only codes and numbers."""
    import numpy as np

    modality = str(dataset.get("Modality", ""))
    row = dict.fromkeys(COLUMNS, "") | {
        "subject": pseudonyms.name("subject", subject_key(dataset)),
        "case": case_name(series, pseudonyms),
        "series": pseudonyms.uid(series.uid),
        "modality": modality if modality in MODALITIES else "OT",
        "kind": series.kind,
        "description": protocol_words(str(dataset.get("SeriesDescription", "")), known),
        "unit": unit_of(dataset),
        "window": window_of(dataset),
    }
    affine = _affine(series, ordered)
    if affine is not None:
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        row["spacing_mm"] = "x".join(f"{step:.6g}" for step in steps[: 3 if series.kind == "volume" else 2])
    elif ordered[0].spacing:
        row["spacing_mm"] = "x".join(f"{step:.6g}" for step in reversed(ordered[0].spacing))
    if series.kind == "sequence":
        row["frame_time_s"] = _frame_time(dataset, ordered)
    return row


def _frame_time(dataset: Dataset, ordered: Sequence[Slice]) -> str:
    """Return the seconds between frames: told (ms), or from trigger times, or from the rate of the cine."""
    import numpy as np

    try:
        if all("TriggerTime" in one.phases for one in ordered):
            steps = np.diff([float(one.phases["TriggerTime"]) for one in ordered])
            if len(steps) and steps.min() > 0:
                return f"{steps.mean() / 1000:.6g}"
        if dataset.get("FrameTime"):
            return f"{float(dataset.FrameTime) / 1000:.6g}"
        if dataset.get("FrameTimeVector"):
            return f"{np.mean([float(part) for part in dataset.FrameTimeVector[1:]]) / 1000:.6g}"
        rate = float(dataset.get("CineRate") or dataset.get("RecommendedDisplayFrameRate") or 0)
    except (TypeError, ValueError, KeyError):
        return ""
    return f"{1 / rate:.6g}" if rate else ""


def _dated(dataset: Dataset) -> dict[str, str]:
    """Return the study and its date as the de-identified dataset has them."""
    return {"study": str(dataset.get("StudyInstanceUID", "")), "date": str(dataset.get("StudyDate", "") or "")}

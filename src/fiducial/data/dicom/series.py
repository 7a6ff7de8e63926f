"""Files of a study, grouped into series and split where one series holds several volumes."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fiducial.data.dicom.identity import subject_key

if TYPE_CHECKING:
    from pydicom import Dataset

Kind = Literal["volume", "sequence", "image"]
SAME_DIRECTION, SAME_PLACE = 1e-3, 1e-3  # of direction cosines; mm
# What tells volumes at the same positions apart, the most specific first.
PHASES = (
    "TemporalPositionIdentifier",
    "EchoNumbers",
    "EchoTime",
    "DiffusionBValue",
    "TriggerTime",
    "AcquisitionNumber",
    "ImageType",
    "AcquisitionTime",
)
# What orders frames at one place in time, the most specific first.
MOMENTS = (
    *("TriggerTime", "TemporalPositionIdentifier", "AcquisitionTime", "AcquisitionNumber"),
    *("EchoTime", "EchoNumbers", "DiffusionBValue", "InstanceNumber"),
)
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True)
class Slice:
    """One frame of one file, and where it lies in the patient (mm, LPS).

    Attributes:
        file: the DICOM file.
        frame: number in a multi-frame file, or None.
        instance: SOPInstanceUID.
        size: rows and columns.
        position: centre of the first pixel, or None where it is not told.
        orientation: direction cosines of rows, then of columns.
        spacing: mm between rows, and between columns.
        thickness: mm, 0 where it is not told.
        phases: values of `PHASES` and `MOMENTS` by name.
    """

    file: Path
    frame: int | None
    instance: str
    size: tuple[int, int]
    position: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    thickness: float
    phases: dict[str, str]


@dataclass(frozen=True)
class Series:
    """Slices that make one case.

    Attributes:
        uid: SeriesInstanceUID.
        kind: a volume of slices, a sequence of frames in time, or a single image.
        slices: in the order of the files.
        split: what tells it from the other cases of the same series, such as "orientation".
        patient: see `subject_key`; slices of two patients never make one case, whatever their UIDs are.
    """

    uid: str
    kind: Kind
    slices: tuple[Slice, ...]
    split: str = ""
    patient: str = field(default="", repr=False)

    @property
    def files(self) -> list[Path]:
        """The files that it is read from."""
        return list(dict.fromkeys(part.file for part in self.slices))


@dataclass(frozen=True)
class Found:
    """What lies in folders.

    Attributes:
        series: cases to be.
        segmentations: SEG objects.
        skipped: number of files that are no images, by reason.
        unreadable: files that say they are DICOM and cannot be read, by reason.
    """

    series: list[Series]
    segmentations: list[Path]
    skipped: Counter[str]
    unreadable: list[tuple[Path, str]]


def files_below(places: Iterable[Path]) -> Iterator[Path]:
    """Yield all files below folders, in an order that does not depend on the machine; links are not followed."""
    for place in places:
        if place.is_file():
            yield place
        for folder, inside, names in os.walk(place):
            inside.sort()
            yield from (Path(folder) / name for name in sorted(names))


def find(places: Iterable[Path]) -> Found:
    """Read the headers of all files below folders, and group what they hold into cases to be."""
    frames: dict[tuple[str, str], list[Slice]] = defaultdict(list)
    loose: list[Series] = []
    found = Found([], [], Counter(), [])
    for file in files_below(places):
        dataset, reason = _header(file)
        if dataset is None:
            if reason:
                found.unreadable.append((file, reason))
            else:
                found.skipped["not DICOM"] += 1
        elif dataset.get("Modality") == "SEG":
            found.segmentations.append(file)
        elif "Rows" not in dataset or "Columns" not in dataset:
            what = "a directory" if "DirectoryRecordSequence" in dataset else "no image (report, plan, structures)"
            found.skipped[what] += 1
        else:
            try:
                slices, uid = _slices(file, dataset), str(dataset.get("SeriesInstanceUID", ""))
                patient = subject_key(dataset)
            except Exception as error:  # the message of a library may quote the header
                found.unreadable.append((file, f"the header cannot be understood ({type(error).__name__})"))
                continue
            if slices[0].position is not None:
                frames[patient, uid] += slices
            else:
                loose.append(Series(uid, "sequence" if len(slices) > 1 else "image", tuple(slices), "", patient))
    stacked = (
        replace(part, patient=patient) for (patient, uid), slices in frames.items() for part in _volumes(uid, slices)
    )
    found.series.extend([*stacked, *loose])
    return found


def _header(file: Path) -> tuple[Dataset | None, str]:
    """Return a file's dataset without its pixels, or None and why; the reason is empty for what is not DICOM."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        with file.open("rb") as opened:
            marked = opened.read(132)[128:] == b"DICM"
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=file.suffix.lower() == ".dcm")
    except InvalidDicomError:
        return None, ""
    except Exception as error:  # the message of a library may quote the header
        return None, f"the header cannot be read ({type(error).__name__})"
    if not marked and "SOPClassUID" not in dataset:
        return None, "it is named .dcm, and holds no DICOM"
    return dataset, ""


def _slices(file: Path, dataset: Dataset) -> list[Slice]:
    count = int(dataset.get("NumberOfFrames") or 1)
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if count > 1 and len(frames) != count:
        frames = []
    if not frames:
        one = _slice(file, None, [dataset], dataset)
        return [one] if count == 1 else [_timed(one, number) for number in range(count)]
    shared = [*(dataset.get("SharedFunctionalGroupsSequence") or []), dataset]
    return [
        _slice(file, number if count > 1 else None, [frame, *shared], dataset) for number, frame in enumerate(frames)
    ]


def _timed(one: Slice, number: int) -> Slice:
    """Return a frame of a file that does not say where each lies."""
    return Slice(one.file, number, one.instance, one.size, None, None, one.spacing, one.thickness, one.phases)


def _slice(file: Path, frame: int | None, places: Sequence[Dataset], dataset: Dataset) -> Slice:
    def value(name: str, group: str) -> Any:
        """Return an attribute of a frame's group, of the shared group, or of the dataset."""
        for place in places:
            inner = place[group][0] if group in place else place
            if (found := inner.get(name)) not in (None, ""):
                return found
        return None

    position = _numbers(value("ImagePositionPatient", "PlanePositionSequence"), 3)
    orientation = _numbers(value("ImageOrientationPatient", "PlaneOrientationSequence"), 6)
    spacing = _numbers(value("PixelSpacing", "PixelMeasuresSequence"), 2)
    if None in (position, orientation, spacing):
        position = orientation = None
        spacing = spacing or _numbers(dataset.get("ImagerPixelSpacing"), 2)
    thickness = value("SpacingBetweenSlices", "PixelMeasuresSequence") or value(
        "SliceThickness", "PixelMeasuresSequence"
    )
    return Slice(
        file,
        frame,
        str(dataset.get("SOPInstanceUID", "")),
        (int(dataset.Rows), int(dataset.Columns)),
        position,  # type: ignore[arg-type]
        orientation,
        spacing,  # type: ignore[arg-type]
        abs(float(thickness or 0)),
        {name: str(dataset[name].value) for name in dict.fromkeys((*PHASES, *MOMENTS)) if name in dataset},
    )


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(part) for part in value)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count else None


def _volumes(uid: str, slices: Sequence[Slice]) -> Iterator[Series]:
    """Split a series by size, spacing and orientation, then by phase."""
    groups: list[list[Slice]] = []
    for one in slices:
        group = next((group for group in groups if _alike(group[0], one)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    first = groups[0][0]
    for group in groups:
        split = "" if len(groups) == 1 else "size" if any(g[0].size != first.size for g in groups) else "orientation"
        yield from _phases(uid, group, split)


def _alike(a: Slice, b: Slice) -> bool:
    import numpy as np

    assert a.orientation is not None
    assert b.orientation is not None
    if (a.size, a.orientation, a.spacing) == (b.size, b.orientation, b.spacing):  # as nearly always, and quick
        return True
    return (
        a.size == b.size
        and np.allclose(a.orientation, b.orientation, atol=SAME_DIRECTION)
        and np.allclose(a.spacing or (), b.spacing or (), rtol=SAME_DIRECTION)
    )


def _phases(uid: str, slices: Sequence[Slice], split: str) -> Iterator[Series]:
    """Split slices of which several lie at each position, by the first attribute that tells them apart."""
    per_place = Counter(place(one) for one in slices)
    most = max(per_place.values())
    for name in PHASES if most > 1 else ():
        parts: dict[str, list[Slice]] = defaultdict(list)
        for one in slices:
            parts[one.phases.get(name, "")].append(one)
        if len(parts) < most or any(len({place(one) for one in part}) < len(part) for part in parts.values()):
            continue
        if len(per_place) == 1:
            yield Series(uid, "sequence", tuple(slices), split)
        else:
            label = f"{split}, {name}" if split else name
            yield from (Series(uid, "volume", tuple(part), label) for part in parts.values())
        return
    yield Series(uid, "volume", tuple(slices), split)


def place(one: Slice) -> tuple[int, ...]:
    """Return a slice's position in steps of 0.001 mm; slices with an equal one lie at the same place."""
    assert one.position is not None
    return tuple(round(part / SAME_PLACE) for part in one.position)

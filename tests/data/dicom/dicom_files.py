"""Small DICOM files, made up, with identifiers in every place where they hide; and importing them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from fiducial.data.dicom.conversion import Options
from fiducial.data.dicom.pseudonym import Pseudonyms
from fiducial.data.dicom.report import Report
from fiducial.data.dicom.study import Import

CT, US, US_FRAMES, CAPTURE, DX, SEG, RTSTRUCT = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.481.3",
)
VALUES = np.random.default_rng(0).integers(0, 3000, (6, 5, 7)).astype(np.uint16)
KEY = Pseudonyms(b"k" * 32)
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ROOT = "1.2.276.0.7230010.3.55555"


def imported(place: Path, out: Path, **options: Any) -> tuple[Report, list[dict[str, str]]]:
    """Import a folder; return the report, and the lines of the table."""
    report = Import([place], out, KEY, Options(**options)).run()
    if not out.exists():
        return report, []
    with (out / "cases.csv").open() as file:
        return report, list(csv.DictReader(file))


def made_up(pixels: NDArray[Any], *, kind: str = CT, series: str = "1", number: int = 1, **values: Any) -> Dataset:
    """Return a dataset with the given pixels, `(rows, columns)`, `(frames, rows, columns)` or with colours last."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.Modality = kind, {CT: "CT", DX: "DX", CAPTURE: "OT"}.get(kind, "US")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.1", f"{ROOT}.2.{series}"
    dataset.SOPInstanceUID = f"{ROOT}.3.{series}.{number}"
    dataset.PatientID, dataset.PatientName, dataset.StudyDate = "MRN-7741902", "Quimby^Zelda", "20210304"
    dataset.InstanceNumber = number
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3
    if pixels.ndim - colour > 2:
        dataset.NumberOfFrames = len(pixels)
    dataset.Rows, dataset.Columns = pixels.shape[-2 - colour : pixels.ndim - colour]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = bits = pixels.dtype.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def write(dataset: Dataset, path: Path) -> Path:
    """Write a dataset as a DICOM file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def stack(
    values: NDArray[Any],
    *,
    orientation: Sequence[float] = STRAIGHT,
    spacing: Sequence[float] = (0.8, 0.5),
    step: float = 2.5,
    origin: Sequence[float] = (-30.0, 12.0, 100.0),
    **more: Any,
) -> list[Dataset]:
    """Return the slices `(slices, rows, columns)` of a volume, in order along the normal."""
    across = np.cross(orientation[:3], orientation[3:])
    return [
        made_up(
            plane,
            number=number,
            ImageOrientationPatient=list(map(float, orientation)),
            ImagePositionPatient=[round(float(part), 6) for part in np.array(origin) + (number - 1) * step * across],
            PixelSpacing=list(spacing),
            SliceThickness=step,
            **more,
        )
        for number, plane in enumerate(values, start=1)
    ]


def write_stack(slices: Sequence[Dataset], folder: Path, seed: int = 3) -> None:
    """Write slices under names whose order says nothing."""
    names = np.random.default_rng(seed).permutation(len(slices))
    for name, dataset in zip(names, slices, strict=True):
        write(dataset, folder / f"{name:03d}.dcm")


PLANTED = (
    *(
        "quimby",
        "zelda",
        "mrn-7741902",
        "19610312",
        "20210304",
        "20210305",
        "oldname",
        "secondid",
        "acc-99120",
        "stjude",
    ),
    *("drgrimes", "nursewatt", "elmstreet", "5551234", "freetextnote", "privatesecret", "nestedsecret", "deepsecret"),
    *("overlaysecret", "curvesecret", "preamblesecret", "aetitlesecret", "metasecret", "paddingsecret", "studysecret"),
    *("protocolsecret", "scannerserial", "iccsecret", "unknownsecret", "urlsecret", "folderperson", "fileperson", ROOT),
    *("stationsecret", "labelsecret", "devicesecret", "segmentsecret", "structuresecret"),
)


def plant(dataset: Dataset) -> Dataset:
    """Put each of `PLANTED` somewhere into a dataset."""
    dataset.PatientBirthDate, dataset.PatientBirthName, dataset.AccessionNumber = "19610312", "Oldname^Q", "ACC-99120"
    dataset.OtherPatientIDsSequence = [item(PatientID="SECONDID", TypeOfPatientID="TEXT")]
    dataset.InstitutionName, dataset.InstitutionAddress = "StJude", "1 Elmstreet"
    dataset.ReferringPhysicianName, dataset.OperatorsName = "DrGrimes", "NurseWatt"
    dataset.PatientTelephoneNumbers, dataset.DeviceSerialNumber = "5551234", "SCANNERSERIAL"
    dataset.ImageComments, dataset.PatientComments = "freetextnote Zelda", "Freetextnote 2"
    dataset.StudyDescription, dataset.ProtocolName = "studysecret", "protocolsecret"
    dataset.SeriesDescription = "CHEST Quimby Zelda thin 19610312 DrGrimes"
    dataset.StationName, dataset.DeviceDescription = "stationsecret", "devicesecret"
    dataset.Manufacturer = "made for StJude"  # the profile keeps manufacturers
    dataset.BodyPartExamined = "QUIMBY"
    dataset.SoftwareVersions = "MRN-7741902 v1"
    dataset.ContentDate, dataset.AcquisitionDateTime = "20210305", "20210305101112.5+0000"
    dataset.RetrieveURL = "http://urlsecret/x"
    block = dataset.private_block(0x0011, "PRIVATESECRET CREATOR", create=True)
    block.add_new(0x01, "LO", "privatesecret")
    block.add_new(0x02, "SQ", [item(PatientName="Quimby^Zelda")])
    deep = item(CodeMeaning="Zelda", TextValue="deepsecret", PatientName="Quimby^Zelda", StudyDate="20210304")
    deep.private_block(0x0013, "PRIVATESECRET", create=True).add_new(1, "LT", "privatesecret")
    dataset.SourceImageSequence = [
        item(
            ReferencedSOPInstanceUID=f"{ROOT}.9",
            SeriesDescription="nestedsecret",
            PurposeOfReferenceCodeSequence=[deep],
        )
    ]
    dataset.ContentLabel, dataset.ContentDescription = "LABELSECRET", "nestedsecret"
    dataset.add_new(0x60003000, "OW", b"overlaysecret ")
    dataset.add_new(0x60004000, "LT", "overlaysecret")
    dataset.add_new(0x50003000, "OW", b"curvesecret ")
    dataset.add_new(0x00420042, "LO", "unknownsecret")
    dataset.ICCProfile = b"iccsecret "
    dataset.DataSetTrailingPadding = b"paddingsecret "
    dataset.preamble = b"preamblesecret".ljust(128, b"\0")
    dataset.file_meta.SourceApplicationEntityTitle = "AETITLESECRET"
    dataset.file_meta.PrivateInformationCreatorUID, dataset.file_meta.PrivateInformation = f"{ROOT}.8", b"metasecret"
    return dataset


def item(**values: Any) -> Dataset:
    """Return an item of a sequence."""
    dataset = pydicom.Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset

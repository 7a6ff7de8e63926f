"""Identifiers in every place where they hide, looked for in all bytes that come out."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import KEY, PLANTED, ROOT, RTSTRUCT, SEG, imported, item, made_up, plant, stack, write
from pydicom import Dataset
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataelem import DataElement

from fiducial.data.dicom.deidentify import action_of, deidentify

VALUES = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)


def contents(folder: Path) -> dict[str, bytes]:
    """Return name and content of each file, as it is and unpacked, in lower case."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    raw = {str(file.relative_to(folder)): file.read_bytes() for file in files}
    return {
        name: (data + (gzip.decompress(data) if name.endswith(".gz") else b"")).lower() for name, data in raw.items()
    }


def leaks(folder: Path, words: Any) -> list[tuple[str, str]]:
    """Return which words stand in which files of a folder, or in their names."""
    return [
        (name, word)
        for name, data in contents(folder).items()
        for word in words
        if word.lower().encode() in data + name.lower().encode()
    ]


def planted_study(folder: Path) -> Path:
    """Write a series, a mask and structures, with identifiers wherever there is room."""
    slices = [plant(dataset) for dataset in stack(VALUES)]
    for number, dataset in enumerate(slices):
        write(dataset, folder / f"fileperson{number}.dcm")
    mask = made_up((VALUES > 30).astype(np.uint8) * 255, kind=SEG, series="9", Modality="SEG")
    mask.SegmentSequence = [item(SegmentLabel="segmentsecret", SegmentDescription="Quimby", SegmentNumber=1)]
    write(plant(mask), folder / "mask.dcm")
    structures = Dataset()
    structures.file_meta = slices[0].file_meta
    structures.SOPClassUID, structures.Modality, structures.SOPInstanceUID = RTSTRUCT, "RTSTRUCT", "1.2.3"
    structures.StructureSetROISequence = [item(ROIName="structuresecret Quimby")]
    write(plant(structures), folder / "structures.dcm")
    return folder


def test_nothing_planted_comes_out(tmp_path: Path) -> None:
    place = planted_study(tmp_path / "in" / "folderperson")
    hidden = b"".join(name.encode() + data for name, data in contents(tmp_path / "in").items())
    assert [word for word in PLANTED if word.encode() not in hidden] == []  # they are all there to be found
    report, (row,) = imported(tmp_path / "in", tmp_path / "out")
    assert place.is_dir()
    assert len(contents(tmp_path / "out")) == 5
    assert leaks(tmp_path / "out", PLANTED) == []
    assert [word for word in PLANTED if word in str(report).lower()] == []
    assert row["description"] == "chest thin"
    assert row["modality"] == "CT"


def test_no_attribute_of_the_dictionary_comes_out(tmp_path: Path) -> None:
    texts = dict.fromkeys(["PN", "LO", "SH", "LT", "ST", "UT", "UC", "UR", "AE", "CS"], "ZELDAQUIMBY") | {
        "UI": "1.2.276.0.7741902",
        "DA": "19610312",
        "DT": "19610312101112",
        "AS": "077Y",
        "OB": b"ZELDAQUIMBY ",
        "UN": b"ZELDAQUIMBY ",
    }
    needed = ("SpecificCharacterSet", "PhotometricInterpretation", "PixelData")
    (dataset, *others) = stack(VALUES)
    planted = 0
    for tag, (kind, _, _, retired, keyword) in DicomDictionary.items():
        if kind in texts and tag > 0x0007FFFF and not retired and keyword not in needed:
            dataset[tag] = DataElement(tag, kind, texts[kind])
            planted += 1
    assert planted > 1500
    for number, each in enumerate([dataset, *others]):
        each.PatientID, each.SeriesInstanceUID, each.ImageType = "ZELDAQUIMBY", "1.2.276.0.7741902", "ZELDAQUIMBY"
        write(each, tmp_path / "in" / f"{number}.dcm")
    imported(tmp_path / "in", tmp_path / "out", burned_in="accept")
    assert leaks(tmp_path / "out", ["zeldaquimby", "7741902", "19610312", "077y"]) == []


# From PS3.15 Table E.1-1: basic profile X (remove), Z (zero length), D (dummy), U (new UID), and attributes not in it.
PROFILE = {
    "PatientName": "Z",
    "PatientID": "Z",
    "PatientBirthDate": "Z",
    "AccessionNumber": "Z",
    "ReferringPhysicianName": "Z",
    "PatientAddress": "X",
    "PatientComments": "X",
    "OtherPatientIDsSequence": "X",
    "InstitutionAddress": "X",
    "OperatorsName": "X",
    "DeviceSerialNumber": "X",
    "StudyInstanceUID": "U",
    "SOPInstanceUID": "U",
    "FrameOfReferenceUID": "U",
    "Rows": "",
    "KVP": "",
    "ImagePositionPatient": "",
    "PixelSpacing": "",
}


@pytest.mark.parametrize(("keyword", "action"), PROFILE.items())
def test_profile_is_that_of_the_standard(keyword: str, action: str) -> None:
    tag = next(tag for tag in DicomDictionary if keyword_for_tag(tag) == keyword)
    kinds = {
        "X": ("delete", "delete_or_empty_or_replace", "delete_or_replace", "delete_or_empty"),
        "Z": ("empty", "empty_or_replace"),
        "U": ("replace_UID",),
        "": ("",),
    }
    assert action_of(tag >> 16, tag & 0xFFFF) in kinds[action]


def test_nested_and_private_elements_go() -> None:
    dataset = plant(stack(VALUES)[0])
    changes = deidentify(dataset, KEY)
    del dataset.file_meta
    text = str(dataset).lower()
    named = ("quimby", "zelda", "mrn-7741902", "secondid", "19610312", "20210304", "deepsecret", ROOT)
    assert [word for word in (*named, "privatesecret", "overlaysecret", "curvesecret") if word in text] == []
    assert not any(element.tag.is_private for element in dataset.iterall())
    assert changes["private (0011,0010)"] == 1
    assert changes["removed (6000,3000)"] == 1
    assert changes["replaced (0020,000D)"] == 1


def test_report_tells_what_was_changed(tmp_path: Path) -> None:
    report, _ = imported(planted_study(tmp_path / "in"), tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    for line in (  # names and dates stand in a nested item, too
        "| (0010,0010) | PatientName | emptied | 6 |",
        "| (0010,4000) | PatientComments | removed | 3 |",
        "| (0011,1001) | – | private | 3 |",
        "| (0020,000D) | StudyInstanceUID | replaced | 3 |",
        "| (0008,0020) | StudyDate | shifted | 6 |",
        "- no image (report, plan, structures): 1 file",
    ):
        assert line in text
    with (tmp_path / "out" / "report.csv").open() as file:
        statuses = Counter(line["status"] for line in csv.DictReader(file))
    assert statuses == {"imported": 1, "refused": 1}  # the mask is of another type
    assert report.skipped.total() == 1


def studies(folder: Path, days: dict[tuple[str, str], str]) -> Path:
    """Write a radiograph of each patient and study, at its date."""
    for (patient, study), day in days.items():
        uid = f"1.2.3.{sum(map(ord, patient + study))}"
        own = {"PatientID": patient, "StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "StudyDate": day}
        write(made_up(VALUES[0], **own, SOPInstanceUID=f"{uid}.2"), folder / patient / study / "x.dcm")
    return folder


def test_pseudonyms_and_distances_hold_over_two_imports(tmp_path: Path) -> None:
    before = studies(tmp_path / "before", {("ann", "one"): "20200110", ("bob", "one"): "20200110"})
    after = studies(tmp_path / "after", {("ann", "two"): "20200301", ("bob", "two"): "20200301"})
    rows = [imported(place, tmp_path / f"{place.name}-out")[1] for place in (before, after)]
    subjects = [{row["subject"]: date.fromisoformat(row["date"]) for row in part} for part in rows]
    assert subjects[0].keys() == subjects[1].keys()
    assert len(subjects[0]) == 2
    assert {(subjects[1][who] - day).days for who, day in subjects[0].items()} == {51}
    assert len(set(subjects[0].values())) == 2  # each subject has its own shift
    assert date(2020, 1, 10) not in subjects[0].values()
    assert {row["case"] for row in rows[0]}.isdisjoint(row["case"] for row in rows[1])
    _, again = imported(before, tmp_path / "again")
    assert again == rows[0]


def test_dates_are_removed_on_demand(tmp_path: Path) -> None:
    place = studies(tmp_path / "in", {("ann", "one"): "20200110"})
    _, (row,) = imported(place, tmp_path / "out", dates="remove")
    assert row["date"] == ""


def test_numbers_of_the_acquisition_are_kept(tmp_path: Path) -> None:
    more = {"KVP": 120, "RepetitionTime": 2.5, "PatientWeight": 70, "PatientSize": 1.8, "SeriesNumber": 4}
    write(made_up(VALUES[0], **more), tmp_path / "in" / "x.dcm")
    imported(tmp_path / "in", tmp_path / "out")
    (file,) = (tmp_path / "out").rglob("*.json")
    assert json.loads(file.read_text()) == {"RepetitionTime": 2.5, "KVP": 120}


def test_number_that_is_the_patients_own_is_left_out(tmp_path: Path) -> None:
    write(made_up(VALUES[0], PatientID="774190", KVP=774190, RepetitionTime=5), tmp_path / "in" / "x.dcm")
    imported(tmp_path / "in", tmp_path / "out")
    (file,) = (tmp_path / "out").rglob("*.json")
    assert json.loads(file.read_text()) == {"RepetitionTime": 5}

"""Who a dataset is about, and what in it names a person."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

_ATTRIBUTES = """
PatientID PatientName OtherPatientIDs OtherPatientNames PatientBirthName PatientMotherBirthName PatientAddress
PatientTelephoneNumbers PatientBirthDate IssuerOfPatientID MedicalRecordLocator MilitaryRank AdmissionID
AccessionNumber StudyID InstitutionName InstitutionAddress StationName DeviceSerialNumber ResponsibleOrganization
"""
NAMING = frozenset(_ATTRIBUTES.split())  # beside these, whatever is a person's name (VR PN)


def identifiers_in(dataset: Dataset) -> frozenset[str]:
    """Return the values that name a person, a place or a record, whole and in words, in lower case."""
    found: set[str] = set()
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # what cannot be read is removed as a whole
            continue
        if element.VR == "SQ":
            found.update(*(identifiers_in(item) for item in element.value))
        elif (element.keyword in NAMING or element.VR == "PN") and not element.is_empty:
            values = [element.value] if element.VM == 1 else element.value
            for value in map(str, values):
                found |= {value.strip().casefold(), *re.split(r"[\^=,;\s]+", value.casefold())}
    return frozenset(word for word in found if word)


def subject_key(dataset: Dataset) -> str:
    """Return what makes a patient one: the id and its issuer, else name and birth date, else the study."""
    number, issuer = (str(dataset.get(name, "") or "").strip() for name in ("PatientID", "IssuerOfPatientID"))
    if number:
        return f"id\0{number}\0{issuer}"
    name, born = (str(dataset.get(name, "") or "").strip() for name in ("PatientName", "PatientBirthDate"))
    return f"name\0{name}\0{born}" if name else f"study\0{dataset.get('StudyInstanceUID', '')}"

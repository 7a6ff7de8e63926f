"""What identifies a person in a dataset."""

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

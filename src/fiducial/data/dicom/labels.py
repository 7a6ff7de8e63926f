"""Labels by patient, study or series, joined to cases while these still have their identifiers."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial.data.csv_lines import read_lines
from fiducial.errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

KEYS = {
    "series_uid": "SeriesInstanceUID",
    "study_uid": "StudyInstanceUID",
    "accession_number": "AccessionNumber",
    "patient_id": "PatientID",
}


@dataclass(frozen=True)
class Labels:
    """Labels of what one attribute names.

    Attributes:
        attribute: that is looked up.
        by_value: label of each of its values.
    """

    attribute: str = "PatientID"
    by_value: Mapping[str, str] | None = None

    def of(self, dataset: Dataset) -> str:
        """Return the label of a dataset that still has its identifiers, or an empty string."""
        return (self.by_value or {}).get(str(dataset.get(self.attribute, "") or "").strip(), "")


def read_labels(path: Path) -> Labels:
    """Read a CSV file (commas, semicolons or tabs) of the column `label`, and one of the columns in `KEYS`.

    Raises:
        InputError: it is missing, is no such file, or gives one value two labels; lines are named, not what they hold.
    """
    try:
        named, lines = read_lines(path, needed=["label"])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected labels as a CSV file in UTF-8 ({type(error).__name__})") from error
    columns = [name for name in KEYS if name in named]
    if len(columns) != 1 or "label" not in named:
        raise InputError(f"{path}: expected the columns label and one of {', '.join(KEYS)}; found {', '.join(named)}")
    found: dict[str, str] = {}
    for line, row in lines:
        value, label = row[columns[0]], row["label"]
        if found.setdefault(value, label) != label:
            raise InputError(f"{path}, line {line}: its {columns[0]} has another label in an earlier line")
    return Labels(KEYS[columns[0]], found)

"""The basic profile of DICOM PS3.15 Annex E, on a dataset and everything nested in it.

Which attribute is removed, emptied or replaced comes from the table of `dicomanonymizer` (edition 2026c). What its
own walk leaves undone is done here: nested sequences, UIDs from the key, dates shifted instead of made equal. Beyond
the table go free text, unknown attributes, overlays and bytes. Of what is left, an import writes the numbers of the
acquisition, the study's UID and its date.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from fiducial.data.dicom.identity import identifiers_in, subject_key
from fiducial.data.dicom.pseudonym import Pseudonyms

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

Dates = Literal["shift", "remove"]
EDITION = "dicomfields_2026c"
STANDARD_UID = re.compile(r"1\.2\.840\.10008(\.\d+)+")
DATE_KINDS = ("DA", "DT", "TM")
FREE_TEXT = ("PN", "LT", "ST", "UT", "UC", "UR", "AE", "UN")
BYTES = ("OB", "OW", "OD", "OF", "OL", "OV", "OB or OW")
PIXEL_BYTES = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
LOOK_UP_BYTES = re.compile(r"(Red|Green|Blue|Alpha)PaletteColorLookupTableData|LUTData")
BIRTH = re.compile(r"Birth|Death|LastMenstrual")
ACQUISITION = (0x0018, 0x0054)  # groups of attributes; the second one is of nuclear medicine
NUMBERS = ("DS", "IS", "FL", "FD", "US", "SS", "UL", "SL", "UV", "SV")
NAMED = ("LO", "SH", "CS", "AS")  # short values in which somebody may have typed a name


def deidentify(
    dataset: Dataset, pseudonyms: Pseudonyms, dates: Dates = "shift", known: frozenset[str] | None = None
) -> Counter[str]:
    """Take out of a dataset, in place, whatever identifies; return what was done how often, by reason and tag.

    Args:
        dataset: to be treated.
        pseudonyms: of the key.
        dates: shifted by the subject's days, or removed.
        known: what names the patient, as `identifiers_in` tells; by default of this dataset.
    """
    known = identifiers_in(dataset) if known is None else known
    done = _Pass(pseudonyms, subject_key(dataset), dates, known)
    done.walk(dataset)
    return done.count


def numbers_of(dataset: Dataset) -> dict[str, Any]:
    """Return the numbers of a de-identified dataset that tell how it was acquired, by attribute.

    No text, no code, no date, no UID, and nothing nested is among them.
    """
    found: dict[str, Any] = {}
    for element in dataset:
        if element.tag.group in ACQUISITION and element.VR in NUMBERS and not element.is_empty:
            values = [element.value] if element.VM == 1 else list(element.value)
            numbers = [float(value) for value in values]
            if all(map(math.isfinite, numbers)):
                plain = [int(number) if number.is_integer() else number for number in numbers]
                found[element.keyword] = plain[0] if element.VM == 1 else plain
    return found


class _Pass:
    """One walk over a dataset of one subject."""

    def __init__(self, pseudonyms: Pseudonyms, key: str, dates: Dates, known: frozenset[str]) -> None:
        self.pseudonyms, self.key, self.dates = pseudonyms, key, dates
        self.known = [word for word in known if len(word) > 2]
        self.count: Counter[str] = Counter()

    def walk(self, dataset: Dataset) -> None:
        for tag in list(dataset.keys()):
            try:
                element = dataset[tag]
            except Exception:  # a value that its VR does not allow: nobody can tell what it says
                self._drop(dataset, tag, "unreadable")
                continue
            self._treat(dataset, element)

    def _drop(self, dataset: Dataset, tag: Any, reason: str) -> None:
        del dataset[tag]
        self.count[f"{reason} {tag}"] += 1

    def _treat(self, dataset: Dataset, element: DataElement) -> None:
        """Apply the first rule that fits."""
        tag, kind, action = element.tag, element.VR, action_of(element.tag.group, element.tag.element)
        if element.tag.is_private:
            self._drop(dataset, tag, "private")
        elif not action and (reason := _beyond_the_table(element)):
            self._drop(dataset, tag, reason)
        elif kind == "UI":
            self._renew_uids(element)
        elif kind in DATE_KINDS:
            self._move(dataset, element)
        elif kind == "SQ":
            if action in ("", "delete_or_empty_or_replace_UID"):
                for item in element.value:
                    self.walk(item)
            else:
                self._drop(dataset, tag, "removed")
        elif action:
            self._apply(dataset, element, action)
        elif kind in (*NAMED, *NUMBERS) and self._names_somebody(str(element.value)):
            self._drop(dataset, tag, "names the patient")

    def _apply(self, dataset: Dataset, element: DataElement, action: str) -> None:
        """Empty what the standard requires to be there; remove what it does not."""
        if action in ("delete", "replace_UID"):
            self._drop(dataset, element.tag, "removed")
            return
        if not element.is_empty:
            self.count[f"emptied {element.tag}"] += 1
        element.value = None

    def _renew_uids(self, element: DataElement) -> None:
        values = [element.value] if isinstance(element.value, str) else list(element.value or [])
        new = [v if STANDARD_UID.fullmatch(v) else self.pseudonyms.uid(v) for v in map(str, values) if v]
        if new != values:
            self.count[f"replaced {element.tag}"] += 1
            element.value = new[0] if len(new) == 1 else new

    def _move(self, dataset: Dataset, element: DataElement) -> None:
        """Shift a date; with `remove`, and for dates of a life, leave none. A time of day alone tells no date."""
        if BIRTH.search(element.keyword) or self.dates == "remove":
            if not element.is_empty:
                self.count[f"emptied {element.tag}"] += 1
            element.value = None
            return
        values = [element.value] if isinstance(element.value, str) else list(element.value or [])
        moved = [self._moved(str(value), element.VR) for value in values]
        if not all(moved):
            self._drop(dataset, element.tag, "unreadable")
        elif element.VR != "TM" and moved:
            self.count[f"shifted {element.tag}"] += 1
            element.value = moved[0] if len(moved) == 1 else moved

    def _moved(self, value: str, kind: str) -> str:
        if kind == "TM":
            return value if re.fullmatch(r"[\d:. ]*", value) else ""
        if not re.fullmatch(r"\d{8}[\d.+ -]*", value):
            return ""
        day = self.pseudonyms.shifted(value, self.key)
        return day and day + (value[8:].strip() if kind == "DT" else "")

    def _names_somebody(self, value: str) -> bool:
        """Return whether a value holds a known identifier as a word, or a long one anywhere."""
        text = value.casefold()
        words = {text.strip(), *re.split(r"[\W_]+", text)}
        return any(word in words or (len(word) > 4 and word in text) for word in self.known)


@cache
def _rules() -> tuple[dict[tuple[int, int], str], list[tuple[tuple[int, int, int, int], str]]]:
    """Return the table's actions by name: for single tags, and for repeating groups with their masks."""
    from dicomanonymizer.simpledicomanonymizer import initialize_actions  # type: ignore[import-untyped]

    actions = {tag: action.__name__ for tag, action in initialize_actions(EDITION).items()}
    single = {tag: name for tag, name in actions.items() if len(tag) == 2}
    return single, [(tag, name) for tag, name in actions.items() if len(tag) == 4]


@cache
def action_of(group: int, element: int) -> str:
    """Return the name of the profile's action on a tag; empty where the profile leaves it alone.

    >>> action_of(0x0010, 0x0010), action_of(0x0010, 0x4000), action_of(0x0028, 0x0010)
    ('empty', 'delete', '')
    """
    single, repeating = _rules()
    if (group, element) in single:
        return single[group, element]
    fits = (name for (g, e, over_g, over_e), name in repeating if (group & over_g, element & over_e) == (g, e))
    return next(fits, "")


def _beyond_the_table(element: DataElement) -> str:
    """Return why an element goes that the profile's table does not list, or an empty string."""
    if not element.keyword:
        return "overlay or curve" if element.tag.group & 0xFF00 in (0x5000, 0x6000) else "unknown"
    if element.tag.group & 0xFF00 in (0x5000, 0x6000):
        return "overlay or curve"
    if element.VR in FREE_TEXT:
        return "free text"
    if element.VR in BYTES and element.keyword not in PIXEL_BYTES and not LOOK_UP_BYTES.fullmatch(element.keyword):
        return "bytes"
    return ""

"""Which class each segment of SEG objects is: by what its codes mean, not by its number in one file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial.errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

COLUMNS = ("number", "name", "codes", "masks")
GREATEST = 255  # class of a mask
# What the codes of known schemes look like: whatever else stands there may have been typed by somebody.
CODES = {
    **dict.fromkeys(("SCT", "DCM", "FMA"), re.compile(r"\d{1,18}")),
    **dict.fromkeys(("NCIt", "UMLS"), re.compile(r"C\d{1,8}")),
    "SRT": re.compile(r"[A-Z]-[0-9A-F]{3,6}"),
    "RADLEX": re.compile(r"RID\d{1,8}"),
    "LN": re.compile(r"\d{1,7}-\d"),
}
# Tissue, anatomical structure, morphologically abnormal structure: what programs write where nobody chose anything.
ANYTHING = ("SCT 85756007", "SRT T-D0050", "SCT 91723000", "SCT 49755003", "SRT M-01000")
KINDS = ("SegmentedPropertyTypeCodeSequence", "SegmentedPropertyTypeModifierCodeSequence")
PLACES = ("AnatomicRegionSequence", "AnatomicRegionModifierSequence")


@dataclass(frozen=True)
class Segment:
    """One segment of a SEG object.

    Attributes:
        number: in its file.
        codes: of what it shows and where, such as `SCT 64033007`.
        label: as somebody typed it, in lower case; it is compared, and written nowhere.
        told: whether the codes are all that it has, and say what it is.
    """

    number: int
    codes: tuple[str, ...]
    label: str
    told: bool


class Classes:
    """The class of each segment of several SEG objects: equal codes, equal class.

    Codes that a file gives to several segments, that could be of anything ("tissue") or of a scheme of somebody's own
    do not tell segments apart: their labels do, or else their numbers. The background, number 0, is no class. Classes
    are numbered from 1, in the order of the smallest number that a segment of theirs has, so that files which agree
    keep their numbers, and the order of files has no say.

    Args:
        files: SEG objects; those that do not list their segments are left out, and refused beside others that do.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._segments = {file: segments for file in files if (segments := _segments(file))}
        self._shared = {
            codes
            for segments in self._segments.values()
            for codes, count in Counter(segment.codes for segment in segments).items()
            if count > 1
        }
        least: dict[tuple[str, ...], int] = {}
        for segments in self._segments.values():
            for segment in segments:
                key = self._key(segment)
                least[key] = min(segment.number, least.get(key, segment.number))
        self._order = sorted(least, key=lambda key: (least[key], key))
        self._number = {key: number for number, key in enumerate(self._order, start=1)}
        self._masks: Counter[int] = Counter()

    def of(self, file: Path) -> Mapping[int, int]:
        """Return the class of each segment number of a file; none where no file lists its segments.

        Raises:
            InputError: it does not list its segments, or there are more classes than a mask can have.
        """
        if self._segments and file not in self._segments:
            raise InputError(
                "it does not list its segments, so that nobody knows which of the others' classes they are"
            )
        found = {segment.number: self._number[self._key(segment)] for segment in self._segments.get(file, ())}
        if found and max(found.values()) > GREATEST:
            raise InputError(f"the segmentations have {len(self._order)} kinds of segments; a mask has {GREATEST}")
        return found

    def count(self, file: Path) -> None:
        """Note that a file became a mask."""
        self._masks.update(set(self.of(file).values()))

    def rows(self) -> list[dict[str, str]]:
        """Return a line a class, in the order of their numbers; the name is the standard's, empty where it has none."""
        return [
            {
                "number": str(number),
                "name": ", ".join(filter(None, map(_meaning, key[:-1]))),
                "codes": "; ".join(key[:-1]),
                "masks": str(self._masks[number]),
            }
            for number, key in enumerate(self._order, start=1)
        ]

    def _key(self, segment: Segment) -> tuple[str, ...]:
        """Return what makes two segments one class; the last part is not to be shown."""
        if segment.told and segment.codes not in self._shared:
            return (*segment.codes, "")
        return (*segment.codes, segment.label or str(segment.number))


def _segments(file: Path) -> list[Segment]:
    import pydicom

    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True)
        return [_segment(item) for item in dataset.get("SegmentSequence") or [] if int(item.SegmentNumber)]
    except Exception:  # refused as one that lists nothing; the message of a library may quote the header
        return []


def _segment(item: Dataset) -> Segment:
    kinds, places = _codes(item, KINDS), _codes(item, PLACES)
    codes = tuple(filter(None, (*kinds, *places)))
    label = " ".join(str(item.get("SegmentLabel", "")).casefold().split())
    told = bool(kinds) and None not in (*kinds, *places) and not set(codes) <= set(ANYTHING)
    return Segment(int(item.SegmentNumber), codes, label, told)


def _codes(item: Dataset, names: tuple[str, str]) -> list[str | None]:
    """Return the first code of a sequence, and those of its modifiers, beside or inside it; None for one unknown."""
    name, modifier = names
    found: list[str | None] = []
    for code in (item.get(name) or [])[:1]:
        for each in (code, *(item.get(modifier) or []), *(code.get(modifier) or [])):
            scheme, value = str(each.get("CodingSchemeDesignator", "")), str(each.get("CodeValue", ""))
            known = scheme in CODES and CODES[scheme].fullmatch(value)
            found.append(f"{scheme} {value}" if known else None)
    return found


def _meaning(code: str) -> str:
    """Return the name of a code in the dictionary of the standard; what a file calls it may be anything."""
    scheme, _, value = code.partition(" ")
    return _dictionary(scheme).get(value, "") if scheme in ("SCT", "DCM") else ""


@cache
def _dictionary(scheme: str) -> dict[str, str]:
    """Return the names of a scheme's codes, of several the shortest."""
    from pydicom.sr.codedict import codes

    concepts = getattr(codes, scheme)
    named = [getattr(concepts, keyword) for keyword in dir(concepts) if keyword[0].isupper()]
    names = sorted(((concept.value, str(concept.meaning)) for concept in named), key=lambda pair: (-len(pair[1]), pair))
    return dict(names)

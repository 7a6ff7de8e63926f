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
# Schemes whose codes are a terminology's own, and so say nothing about a person.
SCHEMES = ("SCT", "SRT", "DCM", "FMA", "RADLEX", "NCIt", "UMLS", "LN")
CODE = re.compile(r"[A-Za-z0-9.-]{1,16}")
KINDS = ("SegmentedPropertyTypeCodeSequence", "SegmentedPropertyTypeModifierCodeSequence")
PLACES = ("AnatomicRegionSequence", "AnatomicRegionModifierSequence")


@dataclass(frozen=True)
class Segment:
    """One segment of a SEG object.

    Attributes:
        number: in its file.
        codes: of what it shows and where, such as `SCT 64033007`.
        label: as somebody typed it, in lower case; it is compared, and written nowhere.
    """

    number: int
    codes: tuple[str, ...]
    label: str


class Classes:
    """The class of each segment of several SEG objects: equal codes, equal class.

    Codes that a file gives to several segments ("tissue") do not tell them apart: their labels do. Segments that
    nothing is said of keep to their number. Classes are numbered from 1, in the order of the smallest number that a
    segment of theirs has, so that files which agree keep their numbers, and the order of files has no say.

    Args:
        files: SEG objects; those that cannot be read, or do not list their segments, are left out.
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
        """Return the class of each segment number of a file; none where it does not list its segments.

        Raises:
            InputError: there are more classes than a mask can have.
        """
        found = {segment.number: self._number[self._key(segment)] for segment in self._segments.get(file, ())}
        if found and max(found.values()) > GREATEST:
            raise InputError(f"the segmentations have {len(self._order)} kinds of segments; a mask has {GREATEST}")
        return found

    def count(self, file: Path) -> None:
        """Note that a file became a mask."""
        self._masks.update(self.of(file).values())

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
        if segment.codes and segment.codes not in self._shared:
            return (*segment.codes, "")
        return (*segment.codes, segment.label or str(segment.number))


def _segments(file: Path) -> list[Segment]:
    import pydicom

    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True)
        return [
            Segment(
                int(item.SegmentNumber),
                tuple(code for names in (KINDS, PLACES) for code in _codes(item, names)),
                " ".join(str(item.get("SegmentLabel", "")).casefold().split()),
            )
            for item in dataset.get("SegmentSequence") or []
        ]
    except Exception:  # the file is refused, with a reason, when its mask is read
        return []


def _codes(item: Dataset, names: tuple[str, str]) -> list[str]:
    """Return the first code of a sequence, and those of its modifiers, beside or inside it."""
    name, modifier = names
    found: list[str] = []
    for code in (item.get(name) or [])[:1]:
        modifiers = [*(item.get(modifier) or []), *(code.get(modifier) or [])]
        for each in (code, *modifiers):
            scheme, value = str(each.get("CodingSchemeDesignator", "")), str(each.get("CodeValue", ""))
            if scheme in SCHEMES and CODE.fullmatch(value):
                found.append(f"{scheme} {value}")
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

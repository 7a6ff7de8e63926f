"""A guard that keeps what DICOM files say of a person out of all that a run logs: ids, subjects, paths, settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial.data.formats import SUFFIXES
from fiducial.errors import InputError

if TYPE_CHECKING:
    from fiducial.data.source import Cases

IDENTIFIERS = "identifiers"  # name under which `data.allow` lets them pass
NAMES = ("PatientName", "OtherPatientNames", "PatientBirthName", "ReferringPhysicianName")
NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate", "StudyDate")
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
NOBODY = ("anonymous", "anonymized", "anonymised", "anon", "patient", "subject", "unknown", "none", "test", "phantom")
SHORTEST, JOINED = 3, 6  # characters: a shorter value must be all of a part; a longer one is found without its signs
SHORTEST_IN_SETTINGS = 4  # settings are compared with what all files say: what is shorter would be found by chance
WORD = "a word of the "
SHOWN = 5

Texts = Mapping[str, str]


def refuse_identifiers(files: Iterable[Sequence[Path | None]], cases: Callable[[], Cases], settings: Texts) -> None:
    """Refuse cases that hold what their own DICOM file says of a person, and settings that hold what any file says.

    Single words of names count in a case's path and subject only: among many patients there is one for each first name.
    The message tells numbers of cases, names of settings and attributes, not what stands there.

    Args:
        files: of each case.
        cases: gives the table of cases, which is read only where there is a DICOM file.
        settings: all other texts that a run logs, by name.

    Raises:
        InputError: some do.
    """
    told = [_told_by_all(parts) for parts in files]
    if not any(told):
        return
    table = cases()
    rows = zip(told, table.case.tolist(), table.subject.tolist(), strict=True)
    found = [(number, held(known, (case, subject))) for number, (known, case, subject) in enumerate(rows, start=1)]
    refused = [(number, attribute) for number, attribute in found if attribute]
    if refused:
        numbers = ", ".join(str(number) for number, _ in refused[:SHOWN])
        more = f" and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
        raise _refusal(f"the path or subject of case {numbers}{more} (counted from 1)", refused[0][1])
    everybody = telling(told)
    if not held(everybody, ["|".join(settings.values())]):  # one search for all of them is quick
        return
    for name, text in settings.items():
        if attribute := held(everybody, (text,)):
            raise _refusal(name, attribute)


def _told_by_all(files: Sequence[Path | None]) -> Mapping[str, str]:
    return {value: attribute for file in files if file is not None for value, attribute in told_by(file).items()}


def _refusal(where: str, attribute: str) -> InputError:
    what = attribute if attribute.startswith(WORD) else f"the {attribute}"
    return InputError(
        f"{where} holds {what} of a DICOM file, and would be logged. `fiducial import-dicom` makes cases with "
        f"pseudonyms; data.allow=[{IDENTIFIERS}] logs what is there as it is"
    )


def telling(told: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return what tells a person wherever it stands: no single words of names, and nothing short."""
    return {
        value: attribute
        for known in told
        for value, attribute in known.items()
        if not attribute.startswith(WORD) and len("".join(words(value))) >= SHORTEST_IN_SETTINGS
    }


def told_by(file: Path) -> dict[str, str]:
    """Return what a DICOM file says of a person, by value: the attribute; nothing where a file is not DICOM."""
    return _told(file, file.stat().st_mtime_ns) if is_dicom(file) else {}


@lru_cache(maxsize=2**17)
def _told(file: Path, _changed: int) -> dict[str, str]:
    import pydicom

    found: dict[str, str] = {}
    try:
        for element in pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*NAMES, *NUMBERS, *UIDS]):
            values = [] if element.is_empty else [element.value] if element.VM == 1 else list(element.value)
            for value in map(str, values):
                found |= _forms(value, element.keyword)
    except Exception:  # a damaged file is named when its pixels are read
        return {}
    return found


def _forms(value: str, attribute: str) -> dict[str, str]:
    """Return a value, and of a name its other order and its words, unless it stands for nobody."""
    own = words(value)
    if all(word in NOBODY for word in own):
        return {}
    if attribute not in NAMES:
        return {value: attribute}
    apart = {word: WORD + attribute for word in own if word not in NOBODY} if len(own) > 1 else {}
    return {value: attribute, " ".join(reversed(own)): attribute} | apart


def is_dicom(file: Path) -> bool:
    """Tell whether a file is DICOM, by its name or its mark."""
    name = file.name.lower()
    if name.endswith(".dcm"):
        return file.is_file()
    if name.endswith(SUFFIXES) or not file.is_file():  # read as another kind of image
        return False
    with file.open("rb") as opened:
        return opened.read(132)[128:] == b"DICM"


def held(known: Mapping[str, str], texts: Iterable[str]) -> str:
    """Return the attribute of a value that one of the texts holds, or an empty string.

    A value is found as a row of words, whatever signs and case there are; a long one also without signs between.

    >>> held({"Doe^Jane": "PatientName", "7": "PatientID"}, ["/data/JANE_DOE/1.dcm"])
    ''
    >>> held({"Doe^Jane": "PatientName"}, ["/data/doe-jane/1.dcm"]), held({"7": "PatientID"}, ["in/7/0.dcm", "17"])
    ('PatientName', 'PatientID')
    """
    for text in texts:
        row = f" {' '.join(words(text))} "
        joined = row.replace(" ", "")
        pieces = {part for piece in re.split(r"[/\\=,|]", text.casefold()) for part in (piece, piece.partition(".")[0])}
        for value, attribute in known.items():
            own = words(value)
            length = len("".join(own))
            if length < SHORTEST:
                if value.casefold().strip() in pieces:
                    return attribute
            elif f" {' '.join(own)} " in row or (length >= JOINED and "".join(own) in joined):
                return attribute
    return ""


@lru_cache(maxsize=2**17)
def words(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case.

    >>> words("Doe^Jane, 1961-03-12")
    ('doe', 'jane', '1961', '03', '12')
    """
    return tuple(re.findall(r"[^\W_]+", text.casefold()))

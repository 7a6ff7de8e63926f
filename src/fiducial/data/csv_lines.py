"""The lines of a CSV file: commas, semicolons or tabs, and names of columns as people write them."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

from fiducial.errors import InputError

DELIMITERS = (",", ";", "\t")

Line = tuple[int, dict[str, str]]


def read_lines(
    path: Path, *, needed: Collection[str] = (), optional: Collection[str] = ()
) -> tuple[list[str], list[Line]]:
    """Return the names of a file's columns, and of each line its number and its values by column.

    Names are stripped of blanks around them; columns without a name (as Excel leaves behind the last one) are kept out.

    Args:
        path: the file, in UTF-8.
        needed: columns that are asked for by name; what gives these separates the columns, or else what gives the most.
        optional: columns that count if they are there.

    Raises:
        OSError, UnicodeDecodeError, csv.Error: it cannot be read, or is no such file.
        InputError: a column has the name of an optional one but for capitals; or, where all that are needed are there,
            a line has more or fewer values than there are columns.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        delimiter = _delimiter(file.readline(), needed)
        file.seek(0)
        reader = csv.DictReader(file, strict=True, delimiter=delimiter)
        columns = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = columns
        found = [(reader.line_num, row) for row in reader]
    _refuse_nearly(path, columns, needed, optional)
    for line, row in found:
        if (None in row or None in row.values()) and set(needed) <= set(columns):
            raise InputError(f"{path}, line {line}: expected {len(columns)} values, one a column")
    return [name for name in columns if name], [(line, _stripped(row)) for line, row in found]


def _stripped(row: dict[str, str | None]) -> dict[str, str]:
    return {name: (value or "").strip() for name, value in row.items() if name}


def _delimiter(header: str, needed: Collection[str]) -> str:
    names = {sign: _names(header, sign) for sign in DELIMITERS}
    return max(DELIMITERS, key=lambda sign: (set(needed) <= set(names[sign]), len(names[sign])))


def _names(header: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]


def _refuse_nearly(path: Path, columns: Sequence[str], needed: Collection[str], optional: Collection[str]) -> None:
    """Refuse `Subject` where `subject` is meant: it would not count, and nothing would say so."""
    meant = {name.casefold(): name for name in optional if name not in columns}
    for name in columns:
        if name not in needed and (other := meant.get(name.casefold())) is not None:
            raise InputError(f"{path}: the column {name!r} would not count; call it {other!r}, or something else")

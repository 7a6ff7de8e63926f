"""A file (CSV) that says which split each case or subject belongs to."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

from fiducial.data.checks import some
from fiducial.data.csv_lines import read_lines
from fiducial.data.source import SPLITS, Cases
from fiducial.errors import InputError, nearest

KEYS = ("case", "subject")


def from_file(cases: Cases, path: Path) -> Cases:
    """Return cases in the splits that a file gives them.

    Args:
        cases: any.
        path: CSV (commas, semicolons or tabs) with the column `case` or `subject`, and the column `split` (train, val
            or test).

    Raises:
        InputError: there is no such file or column, a line cannot be used, or a case is left without a split.
    """
    import numpy as np

    key, split_of = _read(path)
    column = getattr(cases, key).tolist()
    known = set(column)
    if unknown := [name for name in split_of if name not in known]:
        raise InputError(
            f"data.splits={path}: the data have no {key} {some(unknown)}{nearest(unknown[0], sorted(known))}"
        )
    if missing := [name for name in dict.fromkeys(column) if name not in split_of]:
        raise InputError(f"data.splits={path}: no split for {key} {some(missing)}")
    return replace(cases, split=np.array([split_of[name] for name in column]))


def _read(path: Path) -> tuple[str, dict[str, str]]:
    """Return whether lines are about cases or subjects, and the split of each."""
    try:
        columns, lines = read_lines(path.expanduser(), needed=["split"])
    except OSError as error:
        raise InputError(f"data.splits={path}: it cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"data.splits={path}: expected a CSV file in UTF-8: {error}") from error
    key = next((name for name in KEYS if name in columns), None)
    if key is None or "split" not in columns:
        raise InputError(
            f"data.splits={path}: expected the columns case or subject, and split; got {', '.join(columns) or 'none'}"
        )
    split_of: dict[str, str] = {}
    for line, row in lines:
        name, split = row[key], row["split"]
        if split not in SPLITS:
            raise InputError(f"{path}, line {line}: split must be {', '.join(SPLITS)}; got {split!r}")
        if split_of.setdefault(name, split) != split:
            raise InputError(f"{path}, line {line}: {key} {name} is in {split_of[name]} and in {split}")
    return key, split_of


def as_text(cases: Cases) -> str:
    """Return a file that `from_file` reads: case, subject and split of each case."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "subject", "split"])
    writer.writerows(zip(cases.case.tolist(), cases.subject.tolist(), cases.split.tolist(), strict=True))
    return text.getvalue()

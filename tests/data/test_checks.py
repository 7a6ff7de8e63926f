from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fiducial.data.checks import check
from fiducial.data.source import Cases, Spec
from fiducial.errors import InputError

SPEC = Spec(1, 2, (4, 4), "binary", ("no", "yes"))


def table(**columns: Any) -> Cases:
    rows: dict[str, Any] = {
        "case": list("abcdef"),
        "subject": list("pqrstu"),
        "split": ["train", "train", "val", "val", "test", "test"],
        "label": [0, 1, 0, 1, 0, 1],
    }
    return Cases(**{name: np.array(values) for name, values in (rows | columns).items()})


def test_a_sound_table_passes() -> None:
    check(table(), SPEC)
    check(table(subject=list("ppqqrr")), SPEC)
    several = Spec(1, 2, (4, 4), "multilabel", ("x", "y", "z"))
    check(table(label=[[0, 0, 1]] * 6), several)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"split": ["train"] * 4 + ["test"] * 2}, r"none are in val \(of 6 in all\)"),
        ({"split": ["train"] * 6}, "none are in val, test"),
        ({"label": [0, 1, 2, 1, 0, -1]}, "labels must be 0 to 1; c: 2, f: -1"),
        ({"case": list("abcdea")}, "case ids must be unique; used more than once: a"),
        (
            {"subject": list("pqrpst")},
            r"^a subject must be in one split only; p \(train, val\)\. .*data\.allow=\[shared_subjects\]$",
        ),
        ({"subject": ["p"] * 6}, r"p \(train, val, test\)"),
    ],
)
def test_tables_that_would_mislead_are_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(table(**columns), SPEC)


def test_flags_other_than_0_and_1_are_refused() -> None:
    several = Spec(1, 2, (4, 4), "multilabel", ("x", "y", "z"))
    with pytest.raises(InputError, match=r"labels must be 0 to 1; b: \[0 2 0\]"):
        check(table(label=[[0, 0, 1], [0, 2, 0], *[[0, 0, 0]] * 4]), several)


def test_five_offenders_are_named_and_the_rest_counted() -> None:
    split = np.array(["train", "val", "test"] * 8)
    case, subject = np.array([f"c{n:02d}" for n in range(24)]), np.repeat([f"s{n}" for n in range(8)], 3)
    many = Cases(case=case, subject=subject, split=split, label=np.zeros(24, int))
    with pytest.raises(InputError, match=r"s4 \(train, val, test\) and 3 more\. "):
        check(many, SPEC)


def test_the_file_that_says_so_is_named() -> None:
    with pytest.raises(InputError, match=r"^cases\.csv: a subject must be in one split only; p"):
        check(table(subject=["p"] * 6), SPEC, place="cases.csv")
    check(table(subject=["p"] * 6), SPEC, place="cases.csv", allow_shared_subjects=True)

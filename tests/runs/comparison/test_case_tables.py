"""Tables of scores by case: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fiducial.errors import InputError
from fiducial.reports.case_scores import CaseScores, write_case_scores
from fiducial.runs.comparison.cases import read_case_scores


def test_what_was_written_is_read(tmp_path: Path) -> None:
    scores = {"dice": np.array([0.25, np.nan, 1.0]), "hd95/left, right": np.array([3.5, 0.0, np.nan])}
    text = np.array(["a", "b", "c"])
    write_case_scores(tmp_path / "x.csv", CaseScores(text, np.array(["p", "p", "q"]), np.array(["test"] * 3), scores))
    table = read_case_scores(tmp_path / "x.csv")
    assert table.case.tolist() == ["a", "b", "c"]
    assert table.subject.tolist() == ["p", "p", "q"]
    for name, values in scores.items():
        np.testing.assert_array_equal(table.scores[name], values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'case' is missing or empty"),
        ("case,split,dice\na,test,1\n", "'subject' is missing"),
        ("case,subject,split,dice\n", "'case' is missing or empty"),
        ("case,subject,split,dice\na,p,test\n", "line 2: expected 4 values"),
        ("case,subject,split,dice\na,p,test,good\n", "expected numbers.*good"),
        ("case,subject,split,dice\na,p,test,1\na,p,test,1\n", "more than once"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_case_scores(tmp_path / "x.csv")

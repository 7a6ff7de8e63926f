"""The table of predictions keeps every value, and refuses what cannot be true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fiducial.errors import InputError
from fiducial.reports.predictions import Predictions, read_predictions, write_predictions


def make(num_cases: int = 7, num_classes: int = 3, multilabel: bool = False) -> Predictions:
    draw = np.random.default_rng(0)
    raw = draw.random((num_cases, num_classes)).astype(np.float32)
    probabilities = (raw if multilabel else raw / raw.sum(axis=1, keepdims=True)).astype(np.float64)
    names = np.array([f'case "{n}", odd' for n in range(num_cases)])
    label = draw.integers(0, 2, (num_cases, num_classes)) if multilabel else draw.integers(0, num_classes, num_cases)
    predicted = (probabilities > 0.5).astype(np.int64) if multilabel else probabilities.argmax(axis=1)
    return Predictions(names, names, np.full(num_cases, "test"), probabilities, predicted, label)


@pytest.mark.parametrize("multilabel", [False, True])
def test_round_trip_keeps_single_precision(tmp_path: Path, multilabel: bool) -> None:
    table = make(multilabel=multilabel)
    write_predictions(tmp_path / "p.csv", table)
    again = read_predictions(tmp_path / "p.csv")
    np.testing.assert_array_equal(again.probabilities.astype(np.float32), table.probabilities.astype(np.float32))
    for name in ("case", "subject", "split", "predicted", "label"):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))
    read_by_pandas = pd.read_csv(tmp_path / "p.csv")
    assert read_by_pandas["case"].tolist() == table.case.tolist()
    assert read_by_pandas["p_1"].to_numpy() == pytest.approx(table.probabilities[:, 1], abs=1e-8)
    assert [file.name for file in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a,a,test,0,0,0.5,0.6", "do not sum to 1"),
        ("a,a,test,0,0,1.5,-0.5", "a probability outside 0 to 1"),
        ("a,a,test,2,0,0.5,0.5", "a label outside 0 to 1"),
        ("a,a,test,x,0,0.5,0.5", "invalid literal"),
        ("a,a,test,0,0,0.5", "line 2: expected 7 values"),
        ("a,a,test,0,0,1,0\na,b,test,0,0,1,0", "case 'a' is there more than once"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"case,subject,split,label,predicted,p_0,p_1\n{line}\n")
    with pytest.raises(InputError, match=said):
        read_predictions(path)


def test_missing_file_and_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such table"):
        read_predictions(tmp_path / "p.csv")
    (tmp_path / "p.csv").write_text("case,subject,split,predicted\na,a,test,0\n")
    with pytest.raises(InputError, match="column 'p_0' is missing"):
        read_predictions(tmp_path / "p.csv")

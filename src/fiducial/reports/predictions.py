"""What a network predicted for each case: the table that every later question is answered from.

    case, subject, split, label, predicted, p_0, …, p_{K-1}                                 one class a case
    case, subject, split, label_0, …, predicted_0, …, p_0, …                                multilabel

Labels are class numbers (for multilabel 0/1 flags), and are missing where nobody knows them.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError

TOLERANCE = 1e-3  # of the sum of a row's probabilities, which may have been computed in half precision


@dataclass(frozen=True)
class Predictions:
    """Predictions, one entry per case in each column.

    Attributes:
        case: unique id, `(cases,)`.
        subject: the patient, `(cases,)`.
        split: "train", "val", "test", or whatever the images were called, `(cases,)`.
        probabilities: `(cases, classes)`; rows sum to 1 unless the target is multilabel.
        predicted: class numbers `(cases,)`, or 0/1 flags `(cases, classes)` for multilabel.
        label: the truth in the same form, or None.
    """

    case: NDArray[np.str_]
    subject: NDArray[np.str_]
    split: NDArray[np.str_]
    probabilities: NDArray[np.float64]
    predicted: NDArray[np.int64]
    label: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        num_cases, num_classes = self.probabilities.shape
        for name in ("case", "subject", "split", "predicted"):
            _expect(len(getattr(self, name)) == num_cases, f"{name} has another number of rows than p_0, …")
        _expect(
            len(set(self.case.tolist())) == num_cases,
            f"case {_repeated(self.case)!r} is there more than once",
        )
        self._expect_inside(self.probabilities, 1 + TOLERANCE, "a probability outside 0 to 1")
        if not self.multilabel:
            close = np.abs(self.probabilities.sum(axis=1) - 1) <= TOLERANCE
            self._expect_rows(close, "probabilities that do not sum to 1")
        highest = 1 if self.multilabel else num_classes - 1
        for name, column in (("predicted", self.predicted), ("label", self.label)):
            if column is not None:
                _expect(column.shape == self.predicted.shape, f"{name} has another shape than predicted")
                self._expect_inside(column, highest, f"a {name} outside 0 to {highest}")

    @property
    def multilabel(self) -> bool:
        """Whether a case may have several labels."""
        return self.predicted.ndim == 2

    def __len__(self) -> int:
        return len(self.case)

    def _expect_inside(self, values: NDArray[Any], highest: float, complaint: str) -> None:
        inside = np.asarray((values >= 0) & (values <= highest)).reshape(len(values), -1)
        self._expect_rows(np.asarray(inside.all(axis=1)), complaint)

    def _expect_rows(self, good: NDArray[np.bool_], complaint: str) -> None:
        if not good.all():
            raise InputError(f"predictions: case {self.case[np.argmin(good)]!r} has {complaint}")


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write the table, whole or not at all. Nine digits keep every float32 exactly."""
    columns: list[tuple[str, list[str]]] = [
        ("case", predictions.case.tolist()),
        ("subject", predictions.subject.tolist()),
        ("split", predictions.split.tolist()),
    ]
    if predictions.label is not None:
        columns += _integer_columns("label", predictions.label)
    columns += _integer_columns("predicted", predictions.predicted)
    columns += [
        (f"p_{k}", [f"{p:.9g}" for p in column.tolist()]) for k, column in enumerate(predictions.probabilities.T)
    ]
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([name for name, _ in columns])
        writer.writerows(zip(*(values for _, values in columns), strict=True))
    partial.replace(path)


def read_predictions(path: Path) -> Predictions:
    """Read the table.

    Raises:
        InputError: the file is missing, a column is, or a value cannot be what its column says.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such table of predictions")
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if wrong := next((i for i, row in enumerate(rows, start=2) if len(row) != len(header)), None):
        raise InputError(f"{path}, line {wrong}: expected {len(header)} values, one a column")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    for name in ("case", "subject", "split", "p_0"):
        if name not in columns:
            raise InputError(f"{path}: column {name!r} is missing or empty; there are {', '.join(header)}")
    try:
        return _from_columns(columns)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _from_columns(columns: dict[str, tuple[str, ...]]) -> Predictions:
    predicted = _integers(columns, "predicted")
    if predicted is None:
        raise InputError("column 'predicted' is missing")
    case, subject, split = (np.array(columns[name], np.str_) for name in ("case", "subject", "split"))
    probabilities = np.array(_numbered(columns, "p"), np.float64).T
    return Predictions(case, subject, split, probabilities, predicted, _integers(columns, "label"))


def _integers(columns: dict[str, tuple[str, ...]], name: str) -> NDArray[np.int64] | None:
    if name in columns:
        return np.array(columns[name], np.int64)
    numbered = _numbered(columns, name)
    return np.array(numbered, np.int64).T if numbered else None


def _numbered(columns: dict[str, tuple[str, ...]], name: str) -> list[tuple[str, ...]]:
    return [columns[f"{name}_{k}"] for k in range(len(columns)) if f"{name}_{k}" in columns]


def _integer_columns(name: str, values: NDArray[np.int64]) -> list[tuple[str, list[str]]]:
    if values.ndim == 1:
        return [(name, [str(v) for v in values.tolist()])]
    return [(f"{name}_{k}", [str(v) for v in column.tolist()]) for k, column in enumerate(values.T)]


def _expect(holds: bool, complaint: str) -> None:
    if not holds:
        raise InputError(f"predictions: {complaint}")


def _repeated(values: NDArray[np.str_]) -> str:
    unique, counts = np.unique(values, return_counts=True)
    return str(unique[np.argmax(counts)])

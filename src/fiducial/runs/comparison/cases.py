"""What runs say of each case, and the cases that all of them have."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.reports.predictions import Predictions, read_predictions
from fiducial.runs import folder
from fiducial.runs.comparison.member import Member

CASE_SCORES = "case_scores.csv"
IDENTITY = ("case", "subject", "split")


@dataclass(frozen=True)
class Table:
    """What one run, or the folds of one seed together, say of each case: answers of a classifier, or scores.

    Attributes:
        case: unique id, `(cases,)`.
        subject: the patient, `(cases,)`.
        split: "train", "val" or "test", `(cases,)`.
        probabilities: of a classifier, `(cases, classes)`.
        label: the truth, `(cases,)`, or 0/1 flags `(cases, classes)`.
        scores: of any other task, by metric `(cases,)`; NaN where undefined.
    """

    case: NDArray[np.str_]
    subject: NDArray[np.str_]
    split: NDArray[np.str_]
    probabilities: NDArray[np.float64] | None
    label: NDArray[np.int64] | None
    scores: Mapping[str, NDArray[np.float64]]

    @property
    def num_classes(self) -> int:
        """How many classes a classifier tells apart; 0 for other tasks."""
        return 0 if self.probabilities is None else self.probabilities.shape[1]

    def rows(self, rows: NDArray[np.intp]) -> Table:
        """Return the table with these rows."""
        return Table(
            self.case[rows],
            self.subject[rows],
            self.split[rows],
            None if self.probabilities is None else self.probabilities[rows],
            None if self.label is None else self.label[rows],
            {name: values[rows] for name, values in self.scores.items()},
        )


@dataclass(frozen=True)
class Cases:
    """The cases on which runs are compared, sorted by id.

    Attributes:
        case: ids, `(cases,)`.
        subject: the patient of each.
        split: that they are from.
        label: the truth of each, for a classifier.
        num_classes: that a classifier tells apart; 0 for other tasks.
    """

    case: NDArray[np.str_]
    subject: NDArray[np.str_]
    split: str
    label: NDArray[np.int64] | None
    num_classes: int

    @classmethod
    def of(cls, table: Table) -> Cases:
        """Return the cases of a table.

        Raises:
            InputError: they are from several splits.
        """
        splits = sorted(set(table.split.tolist()))
        if len(splits) > 1:
            raise InputError(f"expected predictions of one split, got cases of {', '.join(splits)}")
        table = table.rows(np.argsort(table.case))
        return cls(table.case, table.subject, splits[0], table.label, table.num_classes)

    def only(self, shared: set[str]) -> Cases:
        """Return those of the cases that are shared."""
        kept = np.array([case in shared for case in self.case.tolist()], bool)
        label = None if self.label is None else self.label[kept]
        return replace(self, case=self.case[kept], subject=self.subject[kept], label=label)

    @cached_property
    def subjects(self) -> NDArray[np.int64]:
        """Number of each case's subject, from 0."""
        return np.unique(self.subject, return_inverse=True)[1].astype(np.int64)

    def align(self, table: Table, who: str, *, restrict: bool) -> Table:
        """Return the table's rows in the order of these cases.

        Args:
            table: of another run.
            who: names it in messages.
            restrict: whether the table may have cases besides these.

        Raises:
            InputError: a case is missing, or too much, or has another subject, split or truth.
        """
        if not np.array_equal(table.case, self.case):
            order = np.argsort(table.case)
            place = np.searchsorted(table.case[order], self.case)
            found = np.minimum(place, len(order) - 1)
            missing = table.case[order][found] != self.case
            if missing.any() or (len(table.case) > len(self.case) and not restrict):
                raise InputError(self._mismatch(table, who, len(self.case) - int(missing.sum())))
            table = table.rows(order[found])
        for what, theirs, ours in (("subject", table.subject, self.subject), ("label", table.label, self.label)):
            if theirs is not None and ours is not None and not np.array_equal(theirs, ours):
                self._refuse(what, theirs, ours, who)
        if table.num_classes != self.num_classes:
            raise InputError(f"{who} tells {table.num_classes} classes apart, the reference {self.num_classes}")
        if (table.split != self.split).any():
            raise InputError(f"{who} predicts cases as {table.split[0]}, the reference as {self.split}")
        return table

    def _mismatch(self, table: Table, who: str, shared: int) -> str:
        hint = "--shared-cases compares on those that all have"
        if not shared:
            hint = "they are of different data: name runs of one, or add --filter \"params.data = 'NAME'\""
        return (
            f"runs are compared on the same cases: the reference has {len(self.case):,}, {who} {len(table.case):,}, "
            f"and {shared:,} are in both; {hint}"
        )

    def _refuse(self, what: str, theirs: NDArray[Any], ours: NDArray[Any], who: str) -> None:
        if theirs.shape != ours.shape:
            raise InputError(f"{who} has another kind of {what} than the reference: they are of different tasks")
        different = (theirs != ours).reshape(len(ours), -1).any(axis=1)
        first = int(np.argmax(different))
        raise InputError(
            f"{who} has another {what} than the reference for {int(different.sum()):,} cases, such as "
            f"{self.case[first]}: {theirs[first]} instead of {ours[first]}; they are of different versions of the data"
        )


def tables_of(repetition: Sequence[Member]) -> list[Table]:
    """Return what a repetition says of each case.

    Folds that were tested on different cases predict each case once together and are one table; folds that were
    tested on the same cases are a table each, repetitions like seeds.

    Raises:
        InputError: a run has no table, or two folds have some of their cases in common.
    """
    tables = [_read(member) for member in repetition]
    first = set(tables[0].case.tolist())
    if len(tables) == 1 or all(set(table.case.tolist()) == first for table in tables[1:]):
        return tables
    case = np.concatenate([table.case for table in tables])
    if len(np.unique(case)) < len(case):
        raise InputError(
            f"folds of one seed ({', '.join(member.name for member in repetition)}) have some cases in common: "
            "together they are neither one prediction a case nor repetitions; compare run by run (--each-run)"
        )
    return [_joined(tables)]


def case_ids(repetition: Sequence[Member]) -> Iterator[str]:
    """Yield the cases that a repetition has, without reading the rest."""
    for member in repetition:
        for name in (folder.PREDICTIONS, CASE_SCORES):
            with member.place.file(name) as path:
                if path.is_file():
                    with path.open(newline="", encoding="utf-8") as file:
                        yield from (row["case"] for row in csv.DictReader(file) if row.get("case"))
                    break


def _read(member: Member) -> Table:
    with member.place.file(folder.PREDICTIONS) as path:
        if path.is_file():
            return _of_predictions(read_predictions(path), path)
    with member.place.file(CASE_SCORES) as path:
        if path.is_file():
            return read_case_scores(path)
    raise InputError(f"run {member.name} has neither {folder.PREDICTIONS} nor {CASE_SCORES}: nothing to compare")


def _of_predictions(predictions: Predictions, path: Path) -> Table:
    if predictions.label is None:
        raise InputError(f"{path}: expected labels, got none: without the truth there is nothing to compare")
    return Table(
        predictions.case, predictions.subject, predictions.split, predictions.probabilities, predictions.label, {}
    )


def read_case_scores(path: Path) -> Table:
    """Read a table of scores by case: case, subject, split, and a column a metric, empty where undefined.

    Raises:
        InputError: a column is missing, a value is no number, or a case is there twice.
    """
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if missing := [name for name in IDENTITY if name not in header] or ([] if rows else ["case"]):
        raise InputError(f"{path}: column {missing[0]!r} is missing or empty; there are {', '.join(header)}")
    if wrong := next((i for i, row in enumerate(rows, start=2) if len(row) != len(header)), None):
        raise InputError(f"{path}, line {wrong}: expected {len(header)} values, one a column")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    case, subject, split = (np.array(columns.pop(name), np.str_) for name in IDENTITY)
    if len(np.unique(case)) < len(case):
        raise InputError(f"{path}: a case is there more than once")
    try:
        scores = {name: np.array([float(v) if v else np.nan for v in column]) for name, column in columns.items()}
    except ValueError as error:
        raise InputError(f"{path}: expected numbers, or nothing where a score is undefined: {error}") from None
    return Table(case, subject, split, None, None, scores)


def _joined(tables: Sequence[Table]) -> Table:
    first = tables[0]
    probabilities = [table.probabilities for table in tables if table.probabilities is not None]
    label = [table.label for table in tables if table.label is not None]
    return Table(
        np.concatenate([table.case for table in tables]),
        np.concatenate([table.subject for table in tables]),
        np.concatenate([table.split for table in tables]),
        np.concatenate(probabilities) if len(probabilities) == len(tables) else None,
        np.concatenate(label) if len(label) == len(tables) else None,
        {name: np.concatenate([table.scores[name] for table in tables]) for name in first.scores},
    )

"""A table (CSV) of image files with labels, subjects and splits."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.files import FileSource
from fiducial.data.source import SPLITS, Cases, Spec, Target
from fiducial.data.splits import by_subject, check_fractions
from fiducial.errors import InputError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Table(FileSource):
    """Read the images that a CSV file names, a line a case.

    Columns: `path` (relative to the table's folder, or absolute), `label` (a name or number; for several labels
    a case, `a|b` or several columns of 0 and 1), and optionally `subject` and `split` (train, val or test).

    Args:
        path: the CSV file.
        path_column: name of the column of files.
        label_column: name of the column of labels, or names of several.
        subject_column: name of the column of subjects; without one every case is a subject of its own.
        split_column: name of the column of splits; without one subjects are drawn, stratified by label.
        classes: class names in the order of their numbers; by default those in the table, sorted.
        target: kind of label; by default multilabel where a case has several, else binary or multiclass.
        fractions: share of subjects in train, val and test, where there is no column.
        seed: of the draw.
        modality: as a person would say it.
        **options: see `FileSource`: size, channels, policy, intensity, cache, pack.

    Raises:
        InputError: a file or column is missing, or a line cannot be used; lines are named.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        path_column: str = "path",
        label_column: str | Sequence[str] = "label",
        subject_column: str = "subject",
        split_column: str = "split",
        classes: Sequence[str] | None = None,
        target: Target | None = None,
        fractions: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        modality: str = "",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.path = Path(path).expanduser()
        self.path_column, self.subject_column, self.split_column = path_column, subject_column, split_column
        self.label_columns = [label_column] if isinstance(label_column, str) else list(label_column)
        self._classes, self._target = classes, target
        self.fractions, self.seed, self.modality = check_fractions(fractions), seed, modality

    @property
    def root(self) -> Path:
        """The table's folder."""
        return self.path.parent

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The table's lines."""
        if not self.path.is_file():
            raise InputError(f"data.source.path must be a CSV file; there is no {self.path}")
        with self.path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or [])
        for name in (self.path_column, *self.label_columns):
            if name not in columns:
                raise InputError(
                    f"{self.path}: there is no column {name!r}{nearest(name, columns)} ({', '.join(columns)})"
                )
        if not rows:
            raise InputError(f"{self.path}: the table has no line but its header")
        short = [number for number, row in enumerate(rows, start=2) if None in row or None in row.values()]
        if short:
            raise InputError(f"{self.path}, line {short[0]}: expected {len(columns)} values, one a column")
        return rows

    @cached_property
    def files(self) -> list[Path]:
        """The image of each case."""
        return [self.root / row[self.path_column] for row in self.rows]

    @cached_property
    def _labels(self) -> list[list[str]]:
        """The labels of each case by name; several columns name those that are 1."""
        if len(self.label_columns) > 1:
            return [[name for name in self.label_columns if self._flag(row, line, name)] for line, row in self._lines]
        (column,) = self.label_columns
        return [[part.strip() for part in row[column].split("|") if part.strip()] for row in self.rows]

    @property
    def _lines(self) -> list[tuple[int, dict[str, str]]]:
        return list(enumerate(self.rows, start=2))

    def _flag(self, row: dict[str, str], line: int, column: str) -> bool:
        if row[column] not in ("0", "1"):
            raise InputError(f"{self.path}, line {line}: {column} must be 0 or 1, got {row[column]!r}")
        return row[column] == "1"

    @cached_property
    def target(self) -> Target:
        """Kind of label."""
        if self._target is not None:
            return self._target
        if len(self.label_columns) > 1 or any(len(labels) != 1 for labels in self._labels):
            if len(self.label_columns) == 1 and not any(len(labels) > 1 for labels in self._labels):
                line = 2 + next(row for row, labels in enumerate(self._labels) if not labels)
                raise InputError(f"{self.path}, line {line}: the label is missing")
            return "multilabel"
        return "binary" if len(self.classes) == 2 else "multiclass"

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their numbers."""
        if self._classes is not None:
            return tuple(str(name) for name in self._classes)
        if len(self.label_columns) > 1:
            return tuple(self.label_columns)
        names = {name for labels in self._labels for name in labels}
        numbers = all(name.isdigit() for name in names)
        found = [str(n) for n in range(max(map(int, names)) + 1)] if numbers else sorted(names)
        if len(found) < 2:
            raise InputError(f"{self.path}: at least two classes are needed; found {', '.join(found) or 'none'}")
        return tuple(found)

    @cached_property
    def spec(self) -> Spec:
        """What images are like: from the table, and the first image where size or channels are open."""
        channels, size = self.shape
        return Spec(channels, len(size), size, self.target, self.classes, modality=self.modality)

    @cached_property
    def cases(self) -> Cases:
        """The table of cases."""
        import numpy as np

        case = np.array([row[self.path_column] for row in self.rows])
        by_row = self.subject_column in self.rows[0]
        subject = np.array([row[self.subject_column] for row in self.rows]) if by_row else case
        if by_row and (empty := np.flatnonzero(subject == "")).size:
            raise InputError(f"{self.path}, line {empty[0] + 2}: the subject is missing")
        label = self._numbers()
        if self.split_column in self.rows[0]:
            split = np.array([self._split(line, row) for line, row in self._lines])
        else:
            split = by_subject(subject, label, fractions=self.fractions, seed=self.seed)
        return Cases(case=case, subject=subject, split=split, label=label)

    def _split(self, line: int, row: dict[str, str]) -> str:
        value = row[self.split_column].strip()
        if value not in SPLITS:
            raise InputError(f"{self.path}, line {line}: split must be {', '.join(SPLITS)}; got {value!r}")
        return value

    def _numbers(self) -> NDArray[np.int64]:
        import numpy as np

        number_of = {name: number for number, name in enumerate(self.classes)}
        flags = np.zeros((len(self.rows), len(self.classes)), np.int64)
        for row, labels in enumerate(self._labels):
            for name in labels:
                if name not in number_of:
                    known = ", ".join(self.classes)
                    raise InputError(f"{self.path}, line {row + 2}: label {name!r} is none of the classes {known}")
                flags[row, number_of[name]] = 1
        return flags if self.target == "multilabel" else flags.argmax(axis=1)

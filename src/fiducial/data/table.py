"""A table (CSV) of image files with labels, subjects and splits."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from fiducial.data.columns import Columns, Covariates, is_missing
from fiducial.data.csv_lines import read_lines
from fiducial.data.files import FileSource
from fiducial.data.source import SPLITS, Cases, Spec, Target
from fiducial.data.splits import by_subject, check_fractions
from fiducial.errors import InputError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SHOWN = 5  # lines that an error names


class Table(FileSource):
    """Read the images that a CSV file names, a line a case.

    Columns: `path` (relative to the table's folder, or absolute; several modalities of a case, a file each, are
    separated by `|`, with nothing where one is missing, and become channels), `label` (a name or number; for several
    labels a case, `a|b` or several columns of 0 and 1), and optionally `subject`, `split` (train, val or test) and
    `site`. Commas separate the columns, or semicolons or tabs where the header has these.

    Args:
        path: the CSV file.
        path_column: name of the column of files.
        label_column: name of the column of labels, or names of several.
        subject_column: name of the column of subjects; without a column `subject` every case is its own.
        site_column: name of the column of sites, for `data.leave_out`.
        split_column: name of the column of splits; without a column `split` subjects are drawn, stratified by label.
        classes: class names in the order of their numbers; by default those in the table, sorted.
        target: kind of label; by default multilabel where a case has several, else binary or multiclass.
        fractions: share of subjects in train, val and test, where there is no column.
        seed: of the draw.
        modality: as a person would say it.
        columns: further columns, which a network sees beside the image.
        allow_incomplete: keep cases that lack the file of a channel; see `data.fill` for what stands for it.
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
        site_column: str = "site",
        classes: Sequence[str | int] | None = None,
        target: Target | None = None,
        fractions: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        modality: str = "",
        columns: Columns | None = None,
        allow_incomplete: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.allow_incomplete = allow_incomplete
        self.path = Path(path).expanduser()
        self.path_column, self.subject_column, self.split_column = path_column, subject_column, split_column
        self.site_column, self.columns = site_column, columns or Columns()
        self.optional: Sequence[str] = (subject_column, split_column, site_column)
        self.label_columns = [label_column] if isinstance(label_column, str) else list(label_column)
        self._classes = None if classes is None else tuple(map(str, classes))
        self._target, self.num_dropped = target, 0
        self.only_looked_at = False
        if target is not None and target not in get_args(Target):
            kinds = get_args(Target)
            raise InputError(f"data.source.target must be {', '.join(kinds)}; got {target}{nearest(target, kinds)}")
        self.fractions, self.seed, self.modality = check_fractions(fractions), seed, modality

    @property
    def root(self) -> Path:
        """The table's folder."""
        return self.path.parent

    @property
    def place(self) -> Path:
        """The CSV file."""
        return self.path

    def look_only(self) -> None:
        """Take cases without label, and those that are there twice: nothing is learned from them."""
        self.only_looked_at = True

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """What the table says of each case, by column."""
        return [row for _, row in self._lines]

    @property
    def lines(self) -> list[tuple[int, dict[str, str]]]:
        """The number of each case's line in the file, and its values by column."""
        return self._lines

    @cached_property
    def _lines(self) -> list[tuple[int, dict[str, str]]]:
        """The number of each case's (last) line in the file, and its values."""
        if not self.path.is_file():
            raise InputError(f"data.source.path must be a CSV file; there is no {self.path}")
        try:
            columns, lines = read_lines(self.path, needed=self._needed, optional=self.optional)
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{self.path}: expected a CSV file in UTF-8: {error}") from error
        self._check_columns(columns)
        if not lines:
            raise InputError(f"{self.path}: the table has no line but its header")
        if self.columns.missing != "drop":
            return lines
        kept = [(line, row) for line, row in lines if self.columns.complete(row)]
        if not kept:
            raise InputError(f"{self.path}: no line has a value in each of {', '.join(self.columns.names)}")
        self.num_dropped = len(lines) - len(kept)
        return kept

    @property
    def _needed(self) -> list[str]:
        """Names of the columns that must be there."""
        named = [self.path_column, *self.label_columns]
        named += [name for name in (self.subject_column, self.split_column) if name not in ("subject", "split")]
        named += [self.site_column] if self.site_column != "site" else []
        return [*named, *self.columns.needed]

    def _check_columns(self, columns: list[str]) -> None:
        if not columns:
            needed = ", ".join(self._needed)
            raise InputError(
                f"{self.path}: the file is empty; expected a line of column names ({needed}) and a line a case"
            )
        for name in self._needed:
            if name not in columns:
                found = ", ".join(columns) or "none"
                raise InputError(
                    f"{self.path}: there is no column {name!r}{nearest(name, columns)} (there are: {found})"
                )
        if twice := sorted({name for name in columns if columns.count(name) > 1}):
            raise InputError(f"{self.path}: columns must differ in name; there are two of {', '.join(twice)}")

    def _at(self, line: int | Sequence[int], reason: str) -> InputError:
        return InputError(f"{self.path}, {_numbered(line)}: {reason}")

    def refuse_repeated(self) -> None:
        """Refuse a case that several lines name.

        Raises:
            InputError: with the lines of the first few.
        """
        lines_of: dict[str, list[int]] = {}
        for line, row in self._lines:
            lines_of.setdefault(row[self.path_column], []).append(line)
        repeated = [f"{case} ({_numbered(lines)})" for case, lines in lines_of.items() if len(lines) > 1]
        if repeated and not self.only_looked_at:
            more = f" and {len(repeated) - SHOWN} more" if len(repeated) > SHOWN else ""
            raise InputError(f"{self.path}: expected one line a case; several have {', '.join(repeated[:SHOWN])}{more}")

    def refuse_partly_without_subjects(self) -> None:
        """Refuse lines without a subject among others that have one: each would become a subject of its own.

        Raises:
            InputError: with the lines of the first few.
        """
        blank = [line for line, row in self._lines if is_missing(row.get("subject", "-"))]
        if 0 < len(blank) < len(self._lines):
            raise self._at(blank[:SHOWN], "the subject is missing; give one to every line, or to none")

    @cached_property
    def parts(self) -> list[tuple[Path | None, ...]]:
        """The files of each case: one, or one a channel with None where it is missing."""
        found = [self._parts(line, row[self.path_column]) for line, row in self._lines]
        for (line, _), files in zip(self._lines, found, strict=True):
            if len(files) != len(found[0]):
                raise self._at(
                    line, f"expected {len(found[0])} files separated by |, as in the first; got {len(files)}"
                )
            if None in files and not self.allow_incomplete:
                raise self._at(
                    line,
                    "a file is missing; cases that lack one are kept, filled as data.fill says, by "
                    "data.source.allow_incomplete=true",
                )
        return found

    def _parts(self, line: int, value: str) -> tuple[Path | None, ...]:
        names = [name.strip() for name in value.split("|")]
        if not any(names):
            raise self._at(line, "the path is missing")
        return tuple(self.root / name if name else None for name in names)

    @cached_property
    def files(self) -> list[Path]:
        """All files, those of a case after each other."""
        return [file for files in self.parts for file in files if file is not None]

    @cached_property
    def present(self) -> NDArray[np.bool_] | None:
        """Which channels each case has, where some lack one."""
        import numpy as np

        there = np.array([[file is not None for file in files] for files in self.parts])
        return None if there.all() else there

    @cached_property
    def _labels(self) -> list[list[str]]:
        """The labels of each case by name; several columns name those that are 1."""
        if len(self.label_columns) > 1:
            return [[name for name in self.label_columns if self._flag(row, line, name)] for line, row in self._lines]
        return [[part for part in labels if not self._is_no_label(part)] for labels in self._written]

    @cached_property
    def _written(self) -> list[list[str]]:
        """What stands in the column of labels, part by part."""
        (column,) = self.label_columns
        return [[part.strip() for part in row[column].split("|")] for row in self.rows]

    def _is_no_label(self, part: str) -> bool:
        return is_missing(part) and part not in (self._classes or ())  # a class may be called NA, if it is named

    def _flag(self, row: dict[str, str], line: int, column: str) -> bool:
        if row[column] not in ("0", "1"):
            raise self._at(line, f"{column} must be 0 or 1, got {row[column]!r}")
        return row[column] == "1"

    @cached_property
    def target(self) -> Target:
        """Kind of label."""
        if self._target is not None:
            return self._target
        if len(self.label_columns) > 1 or any(len(labels) > 1 for labels in self._labels):
            return "multilabel"
        return "binary" if len(self.classes) == 2 else "multiclass"

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their numbers."""
        if self._classes is not None:
            return self._classes
        if len(self.label_columns) > 1:
            return tuple(self.label_columns)
        names = {name for labels in self._labels for name in labels}
        numbers = all(name.isdecimal() for name in names)
        if self._target == "ordinal" and not numbers:
            raise InputError(f"{self.path}: labels of an ordinal target that are not numbers need data.source.classes")
        if len(names) < 2 and not self.only_looked_at:
            raise self._too_few(names)
        return tuple(sorted(names, key=int) if numbers else sorted(names))

    def _too_few(self, names: set[str]) -> InputError:
        (column,) = self.label_columns
        if names:
            return InputError(
                f"{self.path}: at least two classes are needed; column {column!r} has only {', '.join(names)}"
            )
        return InputError(
            f"{self.path}: column {column!r} is empty in all {len(self.rows)} lines: fill it, or name another by "
            f"data.source.label_column (there are: {', '.join(self.rows[0])})"
        )

    @cached_property
    def spec(self) -> Spec:
        """What images are like: from the table, and the first image where size or channels are open."""
        if self.target == "binary" and len(self.classes) != 2:
            raise InputError(f"{self.path}: a binary target has two classes; there are {', '.join(self.classes)}")
        channels, size = self.shape
        covariates = self.covariates
        columns = covariates.features if covariates is not None else ()
        return Spec(
            channels,
            len(size),
            size,
            self.target,
            self.classes,
            modality=self.modality,
            columns=columns,
            files=len(self.parts[0]),
        )

    @cached_property
    def covariates(self) -> Covariates | None:
        """Values of the further columns."""
        if not self.columns.names:
            return None
        known = self.subject_column in self.rows[0]
        subjects = [self._subject(line, row) for line, row in self._lines] if known else None
        return self.columns.read(self._lines, self.path, subjects)

    def fingerprint(self) -> Mapping[str, str]:
        """Return a hash of every file's content with its case, subject, split and label, and of the columns."""
        return self.with_columns(super().fingerprint())

    def with_columns(self, found: Mapping[str, str]) -> Mapping[str, str]:
        """Return a fingerprint that depends on the columns' values as well."""
        if not self.columns.names:
            return found
        values = [[row[name] for name in self.columns.needed] for row in self.rows]
        digest = hashlib.sha256(json.dumps([found["sha256"], values]).encode()).hexdigest()
        return {**found, "sha256": digest, "cases_left_out": str(self.num_dropped)}

    @cached_property
    def cases(self) -> Cases:
        """The table of cases."""
        import numpy as np

        subject = case = np.array([row[self.path_column] for row in self.rows])
        if self.subject_column in self.rows[0]:
            subject = np.array([self._subject(line, row) for line, row in self._lines])
        self.refuse_repeated()
        label = self._numbers()
        if self.split_column in self.rows[0]:
            split = np.array([self._split(line, row) for line, row in self._lines])
        elif self.only_looked_at and len(set(subject.tolist())) < len(SPLITS):
            split = np.full(len(case), SPLITS[0])
        else:
            split = by_subject(subject, label, fractions=self.fractions, seed=self.seed)
        return Cases(case=case, subject=subject, split=split, label=label)

    @property
    def sites(self) -> NDArray[np.str_] | None:
        """The site of each case, where there is such a column."""
        import numpy as np

        if self.site_column not in self.rows[0]:
            return None
        for line, row in self._lines:
            if is_missing(row[self.site_column]):
                raise self._at(line, "the site is missing")
        return np.array([row[self.site_column] for row in self.rows])

    def _subject(self, line: int, row: dict[str, str]) -> str:
        if is_missing(row[self.subject_column]):
            raise self._at(line, "the subject is missing")
        return row[self.subject_column]

    def _split(self, line: int, row: dict[str, str]) -> str:
        value = row[self.split_column]
        if value not in SPLITS:
            raise self._at(line, f"split must be {', '.join(SPLITS)}; got {value!r}")
        return value

    def _numbers(self) -> NDArray[np.int64]:
        """Return the label of each case, -1 for one that has none and is only looked at."""
        import numpy as np

        number_of = {name: number for number, name in enumerate(self.classes)}
        flags = np.zeros((len(self.rows), len(self.classes)), np.int64)
        bare = [] if self.target == "multilabel" else [row for row, labels in enumerate(self._labels) if not labels]
        if bare and not self.only_looked_at:
            raise self._at(
                [self._lines[row][0] for row in bare], f"the label is missing (column {self.label_columns[0]!r})"
            )
        if self.target == "multilabel" and len(self.label_columns) == 1 and not self.only_looked_at:
            self._refuse_unknown()
        for row, ((line, _), labels) in enumerate(zip(self._lines, self._labels, strict=True)):
            if self.target != "multilabel" and len(labels) > 1:
                raise self._at(line, f"expected one label, got {' and '.join(labels)}")
            for name in labels:
                if name not in number_of:
                    raise self._at(line, f"label {name!r} is none of the classes {', '.join(self.classes)}")
                flags[row, number_of[name]] = 1
        if self.target == "multilabel":
            return flags
        number = flags.argmax(axis=1) if self.classes else np.zeros(len(flags), np.int64)
        number[bare] = -1
        return number

    def _refuse_unknown(self) -> None:
        """Refuse a case whose labels are not known: one that has none of them has an empty field."""
        unknown = [row for row, parts in enumerate(self._written) if any(map(self._is_no_label, filter(None, parts)))]
        if unknown:
            raise self._at(
                [self._lines[row][0] for row in unknown],
                f"the label is missing (column {self.label_columns[0]!r}); of a case that has none the field is empty",
            )


def _numbered(numbers: int | Sequence[int]) -> str:
    """Return "line 3", or "lines 3, 4, 5, 6, 7 and 2 more"."""
    if isinstance(numbers, int) or len(numbers) == 1:
        return f"line {numbers if isinstance(numbers, int) else numbers[0]}"
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return f"lines {', '.join(map(str, numbers[:SHOWN]))}{more}"

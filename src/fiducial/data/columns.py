"""Columns of a table that a network sees beside the image: age, a laboratory value, the scanner.

Columns      which columns there are, and what becomes of a missing value
Covariates   their values, a number or a category each, as the table has them
Encoding     what the training split says: fillings, means, deviations; it turns values into features
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from fiducial.data.checks import some
from fiducial.errors import InputError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Missing = Literal["drop", "mean", "median", "interpolate"]
MARKS = ("", "na", "n/a", "nan", "null")  # how a table says that there is no value, in any case of letters
Line = tuple[int, Mapping[str, str]]


class Columns:
    """Which columns of a table a network sees, and what becomes of a missing value.

    A value is missing where the field is empty, or NA, N/A, NaN or null.

    Args:
        names: of the columns; numbers, unless said otherwise.
        categorical: those of them that hold categories, each of which becomes a feature of 0 or 1.
        categories: of such columns, in the order of the features; by default those in the table, sorted.
        missing: "drop" leaves the case out, of every split. "mean" and "median" take that of the training split.
            "interpolate" joins the values before and after of the same subject by a straight line in time, and keeps
            the first and last one beyond; a subject that has none takes the training split's mean. A missing category
            is the most frequent one of the training split. By default a missing value is refused.
        time_column: a number, or a date such as 2024-03-31; for "interpolate".
        indicator: add for each column a feature that is 1 where the value was missing.
        standardise: subtract the training split's mean from numbers, and divide them by its standard deviation.

    Raises:
        InputError: the options exclude each other, or name a column that is not among `names`.
    """

    def __init__(
        self,
        *,
        names: Sequence[str] = (),
        categorical: Sequence[str] = (),
        categories: Mapping[str, Sequence[str]] | None = None,
        missing: Missing | None = None,
        time_column: str | None = None,
        indicator: bool = False,
        standardise: bool = True,
    ) -> None:
        self.names, self.time_column = tuple(names), time_column
        self.given = {name: tuple(map(str, values)) for name, values in (categories or {}).items()}
        self.categorical = {*categorical, *self.given}
        self.missing, self.indicator, self.standardise = missing, indicator, standardise
        place = "data.source.columns"
        for name in sorted(self.categorical):
            if name not in self.names:
                raise InputError(f"{place}.categorical: {name!r} is none of {place}.names{nearest(name, self.names)}")
        if len(set(self.names)) < len(self.names):
            raise InputError(f"{place}.names: a column is named twice: {', '.join(self.names)}")
        known = get_args(Missing)
        if missing is not None and missing not in known:
            raise InputError(f"{place}.missing must be {', '.join(known)}; got {missing}{nearest(missing, known)}")
        if (missing == "interpolate") != (time_column is not None):
            raise InputError(f"{place}: missing=interpolate and time_column=… need each other")

    @property
    def needed(self) -> list[str]:
        """The columns that a table must have."""
        return [*self.names, *([self.time_column] if self.time_column is not None else [])]

    def complete(self, row: Mapping[str, str]) -> bool:
        """Tell whether a line of the table has all values."""
        return not any(is_missing(row[name]) for name in self.names)

    def read(self, lines: Sequence[Line], path: Path, subjects: Sequence[str] | None) -> Covariates:
        """Return the values of all cases.

        Args:
            lines: number of each case's line in the table, and its fields.
            path: of the table.
            subjects: of each case; None where the table does not tell.

        Raises:
            InputError: a value is missing or not of its kind; lines are named.
        """
        if self.missing is None:
            self._refuse_missing(lines, path)
        numbers, codes = {}, {}
        for name in self.names:
            if name in self.categorical:
                codes[name] = self._codes(name, lines, path)
            else:
                numbers[name] = self._numbers(name, lines, path)
        if self.missing == "interpolate":
            if subjects is None:
                raise InputError(f"{path}: data.source.columns.missing=interpolate needs a column of subjects")
            times = self._times(lines, path)
            absent = {name: _absent(values) for name, values in numbers.items()}
            numbers = {name: interpolated(values, times, subjects) for name, values in numbers.items()}
        else:
            absent = {name: _absent(values) for name, values in numbers.items()}
        absent |= {name: code < 0 for name, (_, code) in codes.items()}
        return Covariates(self, numbers, codes, absent)

    def _refuse_missing(self, lines: Sequence[Line], path: Path) -> None:
        found = [f"line {n}: {name}" for n, row in lines for name in self.names if is_missing(row[name])]
        if found:
            raise InputError(
                f"{path}: values are missing ({some(found)}); say what becomes of them by "
                f"data.source.columns.missing={'|'.join(get_args(Missing))}"
            )

    def _numbers(self, name: str, lines: Sequence[Line], path: Path) -> NDArray[np.float64]:
        import numpy as np

        values = np.full(len(lines), np.nan)
        for place, (line, row) in enumerate(lines):
            if is_missing(row[name]):
                continue
            try:
                values[place] = float(row[name])
            except ValueError:
                values[place] = np.inf
            if not np.isfinite(values[place]):
                raise InputError(
                    f"{path}, line {line}: {name} must be a number; got {row[name]!r}. If the column holds categories: "
                    f"data.source.columns.categorical=[{name}]"
                )
        return values

    def _codes(self, name: str, lines: Sequence[Line], path: Path) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        import numpy as np

        found = {row[name] for _, row in lines if not is_missing(row[name])}
        choices = self.given.get(name) or tuple(sorted(found))
        number_of = {choice: number for number, choice in enumerate(choices)}
        for line, row in lines:
            if row[name] not in number_of and not is_missing(row[name]):
                raise InputError(
                    f"{path}, line {line}: {name} must be of {', '.join(choices)}; got {row[name]!r}"
                    f"{nearest(row[name], choices)}"
                )
        return choices, np.array([-1 if is_missing(row[name]) else number_of[row[name]] for _, row in lines], np.int64)

    def _times(self, lines: Sequence[Line], path: Path) -> NDArray[np.float64]:
        import numpy as np

        assert self.time_column is not None
        times = np.empty(len(lines))
        for place, (line, row) in enumerate(lines):
            text = row[self.time_column]
            try:
                times[place] = date.fromisoformat(text).toordinal() if "-" in text[1:] else float(text)
            except ValueError as error:
                what = f"{self.time_column} must be a number or a date such as 2024-03-31"
                raise InputError(f"{path}, line {line}: {what}; got {text!r}") from error
        return times


@dataclass(frozen=True)
class Covariates:
    """The values of a table's columns.

    Attributes:
        options: of the columns.
        numbers: of numeric columns, by name, `(cases,)`; NaN where missing.
        codes: of categorical columns, their categories and the number of each case's, `(cases,)`; -1 where missing.
        absent: whether the table had no value, by name, `(cases,)`.
    """

    options: Columns
    numbers: Mapping[str, NDArray[np.float64]]
    codes: Mapping[str, tuple[tuple[str, ...], NDArray[np.int64]]]
    absent: Mapping[str, NDArray[np.bool_]]

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that these columns become."""
        names: list[str] = []
        for name in self.options.names:
            names += [f"{name}={choice}" for choice in self.codes[name][0]] if name in self.codes else [name]
        return (*names, *(f"{name} is missing" for name in self.options.names if self.options.indicator))


@dataclass(frozen=True)
class Encoding:
    """What the training split says about columns.

    Attributes:
        fill: of numeric columns, by name, what stands for a missing value.
        centre: of numeric columns, subtracted.
        scale: of numeric columns, divides.
        seen: of categorical columns, the categories of training cases.
        usual: of categorical columns, the category that stands for a missing one.
    """

    fill: dict[str, float]
    centre: dict[str, float]
    scale: dict[str, float]
    seen: dict[str, list[str]]
    usual: dict[str, str]

    @classmethod
    def of(cls, covariates: Covariates, rows: NDArray[np.int64]) -> Encoding:
        """Learn from the training cases, given by their rows, and from nothing else.

        Raises:
            InputError: no training case has a value of some column.
        """
        import numpy as np

        made = cls({}, {}, {}, {}, {})
        options = covariates.options
        for name in options.names:
            if bool(covariates.absent[name][rows].all()):
                raise InputError(f"column {name}: no training case has a value; leave it out of the columns")
        for name, values in covariates.numbers.items():
            known = values[rows][np.isfinite(values[rows])]
            made.fill[name] = float(np.median(known) if options.missing == "median" else known.mean())
            filled = np.where(np.isfinite(values[rows]), values[rows], made.fill[name])
            made.centre[name] = float(filled.mean()) if options.standardise else 0.0
            made.scale[name] = (float(filled.std()) or 1.0) if options.standardise else 1.0
        for name, (choices, codes) in covariates.codes.items():
            counts = np.bincount(codes[rows][codes[rows] >= 0], minlength=len(choices))
            made.seen[name] = [choice for choice, count in zip(choices, counts, strict=True) if count]
            made.usual[name] = choices[int(counts.argmax())]
        return made

    def __call__(self, covariates: Covariates, cases: Sequence[str]) -> NDArray[np.float32]:
        """Return features, `(cases, features)`.

        Raises:
            InputError: a case has a category that no training case has.
        """
        import numpy as np

        parts: list[NDArray[Any]] = []
        for name in covariates.options.names:
            if name in covariates.numbers:
                values = covariates.numbers[name]
                filled = np.where(np.isfinite(values), values, self.fill[name])
                parts.append(((filled - self.centre[name]) / self.scale[name])[:, None])
            else:
                parts.append(self._one_hot(name, *covariates.codes[name], cases))
        if covariates.options.indicator:
            parts += [covariates.absent[name][:, None] for name in covariates.options.names]
        return np.concatenate([part.astype(np.float32) for part in parts], axis=1)

    def _one_hot(
        self, name: str, choices: tuple[str, ...], codes: NDArray[np.int64], cases: Sequence[str]
    ) -> NDArray[np.float64]:
        import numpy as np

        unseen = [n for n, choice in enumerate(choices) if choice not in self.seen[name]]
        if strange := [f"{case}: {choices[c]}" for case, c in zip(cases, codes, strict=True) if c in unseen]:
            raise InputError(
                f"column {name}: no training case has the category of {some(strange)} (seen in training: "
                f"{', '.join(self.seen[name])}); leave such cases out, or draw other splits"
            )
        known = np.where(codes < 0, choices.index(self.usual[name]), codes)
        return np.eye(len(choices))[known]

    def state(self) -> dict[str, Any]:
        """Return plain values to store."""
        return asdict(self)


def interpolated(
    values: NDArray[np.float64], times: NDArray[np.float64], subjects: Sequence[str]
) -> NDArray[np.float64]:
    """Return values whose gaps lie on straight lines in time between the same subject's values.

    Before the first and after the last value of a subject that value holds. A subject without any keeps its gaps.
    """
    import numpy as np

    found, groups = values.copy(), np.array(subjects)
    for subject in np.unique(groups):
        rows = np.flatnonzero(groups == subject)
        rows = rows[np.argsort(times[rows], kind="stable")]
        known = rows[np.isfinite(values[rows])]
        if len(known):
            gaps = rows[~np.isfinite(values[rows])]
            found[gaps] = np.interp(times[gaps], times[known], values[known])
    return found


def _absent(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    import numpy as np

    return np.isnan(values)


def is_missing(text: str) -> bool:
    """Tell whether a field of a table says that there is no value."""
    return text.lower() in MARKS

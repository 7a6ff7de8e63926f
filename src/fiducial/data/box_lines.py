"""The lines of a table (CSV) that have a box each."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fiducial.data.boxes import Boxes, from_mm, xyz
from fiducial.data.table import Table
from fiducial.errors import InputError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENDS = ("x_min", "y_min", "z_min", "x_max", "y_max", "z_max")
FLAT = tuple(name for name in ENDS if not name.startswith("z"))
SLACK = 0.5  # pixels by which an end may lie outside its image: rounding

Line = tuple[int, dict[str, str]]
Affine = Callable[[], "NDArray[np.float64] | None"]


class BoxLines:
    """Read the boxes of each case from a table.

    Args:
        table: has a line a box; other columns do not matter.
        alone: whether a line without a box is an error, since the cases are listed elsewhere.
        cases: names of all cases.
        path_column: name of the column of cases.
        label_column: name of the column of classes.
        unit: "pixels" or "mm".
        closed: whether `x_max` is the last pixel of a box.
        clip: cut a box that reaches out of its image, instead of refusing it.

    Raises:
        InputError: a column is missing, or a line cannot be used; the line is named.
    """

    def __init__(
        self,
        table: Table,
        *,
        alone: bool,
        cases: Collection[str],
        path_column: str,
        label_column: str,
        unit: str,
        closed: bool,
        clip: bool,
    ) -> None:
        self.table, self.alone, self.cases = table, alone, cases
        self.path_column, self.label_column = path_column, label_column
        self.unit, self.closed, self.clip = unit, closed, clip

    @cached_property
    def lines(self) -> list[Line]:
        """The lines that have a box."""
        first = self.table.rows[0]
        if missing := [name for name in FLAT if name not in first]:
            raise InputError(
                f"{self.table.path}: there is no column {missing[0]!r} (there are: {', '.join(first)}); boxes in a "
                "table of their own: data.source.boxes=FILE"
            )
        named, found = [name for name in ENDS if name in first], []
        for line, row in self.table.lines:
            given = [name for name in named if row[name]]
            if given and len(given) < len(named):
                lacking = next(name for name in named if not row[name])
                raise self._wrong(line, row, f"{lacking} is missing")
            if given:
                found.append((line, row))
            elif self.alone:
                raise self._wrong(line, row, "there is no box in this line")
        return found

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes that are named, sorted; one, "lesion", where there is no column of them."""
        if self.label_column not in self.table.rows[0]:
            if self.label_column != "label":
                known = ", ".join(self.table.rows[0])
                raise InputError(f"{self.table.path}: there is no column {self.label_column!r} (there are: {known})")
            return ("lesion",)
        return tuple(sorted({row[self.label_column] for _, row in self.lines} - {""})) or ("lesion",)

    @cached_property
    def of_case(self) -> dict[str, list[Line]]:
        """The lines of each case that has any."""
        found: dict[str, list[Line]] = {}
        for line, row in self.lines:
            name = row[self.path_column]
            if name not in self.cases:
                raise self._wrong(
                    line, row, f"there is no such image in the table of images{nearest(name, self.cases)}"
                )
            found.setdefault(name, []).append((line, row))
        return found

    def boxes(self, name: str, size: tuple[int, ...], affine: Affine, classes: Sequence[str]) -> Boxes:
        """Return the boxes of a case, in pixels of its file.

        Args:
            name: of the case.
            size: of its file, in array order.
            affine: gives its affine from array order to mm, or None.
            classes: names in the order of their numbers.
        """
        import numpy as np

        lines = self.of_case.get(name, [])
        if not lines:
            return Boxes.of([], [], len(size))
        ends = np.array([self._ends(line, row, len(size)) for line, row in lines])
        for (line, row), (low, high) in zip(lines, ends.reshape(len(ends), 2, -1), strict=True):
            if not (low < high).all():
                raise self._wrong(line, row, f"the box {_shown(low, high)} has no area")
        corners = self._in_pixels(ends, affine, name)
        inside = [self._inside(box, size, line, row) for box, (line, row) in zip(corners, lines, strict=True)]
        return Boxes.of(np.stack(inside), [self._number(line, row, classes) for line, row in lines], len(size))

    def _ends(self, line: int, row: dict[str, str], dims: int) -> list[float]:
        values = []
        for column in FLAT if dims == 2 else ENDS:
            if column not in row:
                raise self._wrong(line, row, f"a volume's box needs the column {column}")
            try:
                value = float(row[column])
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise self._wrong(line, row, f"{column} must be a number; got {row[column]!r}")
            last = self.closed and self.unit == "pixels" and column.endswith("max")
            values.append(value + 1 if last else value)
        return values

    def _in_pixels(self, ends: NDArray[np.float64], affine: Affine, name: str) -> NDArray[np.float32]:
        """Return boxes of the table, x first, as boxes in array order."""
        import numpy as np

        if self.unit == "pixels":
            return np.asarray(xyz(ends), np.float32)
        place = affine()
        if place is None:
            raise InputError(f"{self.table.path}: case {name}: boxes in mm need a volume with an affine (NIfTI)")
        return from_mm(ends, place)

    def _inside(
        self, corners: NDArray[np.float32], size: tuple[int, ...], line: int, row: dict[str, str]
    ) -> NDArray[np.float32]:
        """Return a box within its image."""
        import numpy as np

        clipped = corners.clip(0, np.tile(np.array(size, np.float32), 2))
        out = np.abs(clipped - corners).max() > SLACK
        empty = not (clipped[: len(size)] < clipped[len(size) :]).all()
        if empty or (out and not self.clip):
            low, high = np.split(xyz(corners[None])[0], 2)
            extent = " × ".join(str(n) for n in size[::-1])
            hint = "" if empty else "; data.source.outside=clip cuts such boxes"
            reason = f"the box {_shown(low, high)} in pixels reaches out of its image of {extent}{hint}"
            raise self._wrong(line, row, reason)
        return clipped

    def _number(self, line: int, row: dict[str, str], classes: Sequence[str]) -> int:
        if self.label_column not in row:
            return 0
        label = row[self.label_column]
        if label not in classes:
            raise self._wrong(line, row, f"label {label!r} is none of the classes {', '.join(classes)}")
        return classes.index(label)

    def _wrong(self, line: int, row: dict[str, str], reason: str) -> InputError:
        return InputError(f"{self.table.path}, line {line}: case {row[self.path_column]}: {reason}")


def _shown(low: Sequence[float] | NDArray[Any], high: Sequence[float] | NDArray[Any]) -> str:
    ends = (f"{axis} {a:g} to {b:g}" for axis, a, b in zip("xyz", low, high, strict=False))
    return f"({', '.join(ends)})"

"""A table (CSV) of images, and a table of boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fiducial.data.boxed import BOXES, BoxedSource
from fiducial.data.boxes import Boxes, Frame, from_mm, xyz
from fiducial.data.files import FileSource
from fiducial.data.image_header import affine_of, image_size
from fiducial.data.images import placement
from fiducial.data.source import SPLITS, Cases, Spec
from fiducial.data.splits import by_subject, check_fractions
from fiducial.data.table import Table
from fiducial.errors import InputError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENDS = ("x_min", "y_min", "z_min", "x_max", "y_max", "z_max")
FLAT = tuple(name for name in ENDS if not name.startswith("z"))
SLACK = 0.5  # pixels by which an end may lie outside its image: rounding


class BoxTable(FileSource, BoxedSource):
    """Read the images that a CSV file names, and their boxes.

    Columns of the table of images, a line a case: `path` (relative to the table's folder, or absolute), and optionally
    `subject` and `split`. Columns of the table of boxes, a line a box: `path`, `x_min`, `y_min`, `x_max`, `y_max`, for
    volumes `z_min` and `z_max`, and optionally `label`. A case without a line there has no box. Without a second table
    the table of images has these columns too: it then has a line a box, and for a case without a box one line in which
    they are empty.

    x is the column of a picture and y its row; of a volume, x, y and z count as its file does (NIfTI: first, second,
    third index), from 0.

    Args:
        path: the CSV file of images.
        boxes: the CSV file of boxes.
        unit: "pixels", or "mm": places in the patient by the volume's affine, x to the right, y to the front, z to the
            head (RAS+).
        ends: "half_open" (`x_max` is where the box ends, the width is the difference) or "closed" (`x_max` is the last
            pixel of the box); in mm there is no difference.
        outside: "refuse" a box that reaches out of its image, or "clip" it.
        target: "boxes", or "binary" to learn only whether an image has any.
        path_column: name of the column of files, in both tables.
        label_column: name of the column of classes; without a column `label` there is one class, "lesion".
        classes: names in the order of their numbers; by default those in the table, sorted.
        fractions: share of subjects in train, val and test, where there is no column.
        seed: of the draw.
        modality: as a person would say it.
        **options: see `FileSource`: size, channels, policy (not crop), intensity, cache, pack.

    Raises:
        InputError: a file or column is missing, or a line cannot be used; lines are named.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        boxes: str | Path | None = None,
        unit: Literal["pixels", "mm"] = "pixels",
        ends: Literal["half_open", "closed"] = "half_open",
        outside: Literal["refuse", "clip"] = "refuse",
        target: Literal["boxes", "binary"] = "boxes",
        path_column: str = "path",
        label_column: str = "label",
        classes: Sequence[str] | None = None,
        fractions: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        modality: str = "",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        for name, value, known in (
            ("unit", unit, ("pixels", "mm")),
            ("ends", ends, ("half_open", "closed")),
            ("outside", outside, ("refuse", "clip")),
            ("target", target, (BOXES, "binary")),
        ):
            if value not in known:
                raise InputError(f"data.source.{name} must be {' or '.join(known)}; got {value}{nearest(value, known)}")
        if self.policy == "crop":
            raise InputError("data.source.policy=crop would cut boxes off: use resize, fit or pad")
        self.table = Table(path=path, path_column=path_column, label_column=path_column)
        self.boxes = self.table if boxes is None else Table(path=boxes, path_column=path_column, label_column=FLAT)
        self.path_column, self.label_column = path_column, label_column
        self.unit, self.ends, self.outside, self.learned = unit, ends, outside, target
        self._classes, self.fractions, self.seed = classes, check_fractions(fractions), seed
        self.modality = modality

    # -- images -------------------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """The table's folder."""
        return self.table.root

    @cached_property
    def _lines(self) -> dict[str, dict[str, str]]:
        """What the table says of each case: its first line."""
        found: dict[str, dict[str, str]] = {}
        for number, row in self.table.lines:
            name = row[self.path_column]
            if not name:
                raise _at(self.table, number, f"the {self.path_column} is missing")
            if name in found and self.boxes is not self.table:
                raise _at(self.table, number, f"case {name} is there already")
            first = found.setdefault(name, row)
            for column in ("subject", "split"):
                if first.get(column) != row.get(column):
                    raise _at(self.table, number, f"case {name} has another {column} than in its line before")
        return found

    @cached_property
    def files(self) -> list[Path]:
        """The image of each case."""
        return [self.root / name for name in self._lines]

    @cached_property
    def spec(self) -> Spec:
        """What images are like: from the tables, and the first image where size or channels are open."""
        channels, size = self.shape
        target: Any = self.learned
        classes = self.classes if target == BOXES else ("without", "with")
        return Spec(channels, len(size), size, target, classes, modality=self.modality)

    @cached_property
    def cases(self) -> Cases:
        """The table of cases."""
        import numpy as np

        names, rows = list(self._lines), list(self._lines.values())
        subject = np.array([row.get("subject") or name for name, row in self._lines.items()])
        label = np.array([int(bool(self._of_case.get(name))) for name in names], np.int64)
        if "split" in rows[0]:
            for name, row in self._lines.items():
                if row["split"] not in SPLITS:
                    raise InputError(
                        f"{self.table.path}, case {name}: split must be {', '.join(SPLITS)}; got {row['split']!r}"
                    )
            split = np.array([row["split"] for row in rows])
        else:
            split = by_subject(subject, label, fractions=self.fractions, seed=self.seed)
        return Cases(np.array(names), subject, split, label * 0 if self.learned == BOXES else label)

    # -- boxes --------------------------------------------------------------------------------------------

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their numbers."""
        if self._classes is not None:
            return tuple(str(name) for name in self._classes)
        if self.label_column not in self.boxes.rows[0]:
            if self.label_column != "label":
                known = ", ".join(self.boxes.rows[0])
                raise InputError(f"{self.boxes.path}: there is no column {self.label_column!r} (there are: {known})")
            return ("lesion",)
        names = {row[self.label_column] for _, row in self._box_lines}
        return tuple(sorted(names - {""})) or ("lesion",)

    @cached_property
    def _box_lines(self) -> list[tuple[int, dict[str, str]]]:
        """The lines that have a box."""
        first = self.boxes.rows[0]
        if missing := [name for name in FLAT if name not in first]:
            raise InputError(
                f"{self.boxes.path}: there is no column {missing[0]!r} (there are: {', '.join(first)}); boxes in a "
                "table of their own: data.source.boxes=FILE"
            )
        named = [name for name in ENDS if name in first]
        found = []
        for line, row in self.boxes.lines:
            given = [name for name in named if row[name]]
            if given and len(given) < len(named):
                lacking = next(name for name in named if not row[name])
                raise _at(self.boxes, line, f"case {row[self.path_column]}: {lacking} is missing")
            if given:
                found.append((line, row))
            elif self.boxes is not self.table:
                raise _at(self.boxes, line, f"case {row[self.path_column]}: there is no box in this line")
        return found

    @cached_property
    def _of_case(self) -> dict[str, list[tuple[int, dict[str, str]]]]:
        """The lines of each case's boxes."""
        found: dict[str, list[tuple[int, dict[str, str]]]] = {}
        for line, row in self._box_lines:
            name = row[self.path_column]
            if name not in self._lines:
                raise _at(self.boxes, line, f"case {name} is not in {self.table.path}{nearest(name, self._lines)}")
            found.setdefault(name, []).append((line, row))
        return found

    def truth(self, index: int) -> Boxes:
        """Return the boxes of a case, in pixels of its file."""
        import numpy as np

        name, lines = str(self.cases.case[index]), self._of_case.get(str(self.cases.case[index]), [])
        size = self.size_of(index)
        if not lines:
            return Boxes.of([], [], len(size))
        ends = np.array([self._ends(line, row, name, len(size)) for line, row in lines])
        low, high = ends[:, : len(size)], ends[:, len(size) :]
        for (line, _), small, large in zip(lines, low, high, strict=True):
            if not (small < large).all():
                raise self._wrong(line, name, f"the box {_shown(small, large)} has no area")
        corners = self._in_pixels(ends, index)
        corners = np.stack([self._inside(row, size, line, name) for row, (line, _) in zip(corners, lines, strict=True)])
        return Boxes.of(corners, [self._number(line, row, name) for line, row in lines], len(size))

    def _ends(self, line: int, row: dict[str, str], name: str, dims: int) -> list[float]:
        import math

        named = FLAT if dims == 2 else ENDS
        values = []
        for column in named:
            if column not in row:
                raise self._wrong(line, name, f"a volume's box needs the column {column}")
            try:
                value = float(row[column])
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise self._wrong(line, name, f"{column} must be a number; got {row[column]!r}")
            closed = self.ends == "closed" and self.unit == "pixels" and column.endswith("max")
            values.append(value + 1 if closed else value)
        return values

    def _in_pixels(self, ends: NDArray[np.float64], index: int) -> NDArray[np.float32]:
        """Return boxes of the table, x first, as boxes in array order."""
        import numpy as np

        if self.unit == "pixels":
            return np.asarray(xyz(ends), np.float32)
        affine = self.frame(index).affine
        if affine is None:
            raise InputError(
                f"{self.boxes.path}: case {self.cases.case[index]}: boxes in mm need a volume with an affine (NIfTI)"
            )
        return from_mm(ends, affine)

    def _inside(self, corners: NDArray[np.float32], size: tuple[int, ...], line: int, name: str) -> NDArray[np.float32]:
        import numpy as np

        most = np.tile(np.array(size, np.float32), 2)
        clipped = corners.clip(0, most)
        out = np.abs(clipped - corners).max() > SLACK
        empty = not (clipped[: len(size)] < clipped[len(size) :]).all()
        if empty or (out and self.outside == "refuse"):
            low, high = np.split(xyz(corners[None])[0], 2)
            extent = " × ".join(str(n) for n in size[::-1])
            hint = "" if empty else "; data.source.outside=clip cuts such boxes"
            raise self._wrong(
                line, name, f"the box {_shown(low, high)} in pixels reaches out of its image of {extent}{hint}"
            )
        return clipped

    def _number(self, line: int, row: dict[str, str], name: str) -> int:
        if self.label_column not in row:
            return 0
        label = row[self.label_column]
        if label not in self.classes:
            known = ", ".join(self.classes)
            raise self._wrong(line, name, f"label {label!r} is none of the classes {known}")
        return self.classes.index(label)

    def _wrong(self, line: int, name: str, reason: str) -> InputError:
        return _at(self.boxes, line, f"case {name}: {reason}")

    def size_of(self, index: int) -> tuple[int, ...]:
        """Return the extent of a case's file along each axis."""
        if index not in self._known_sizes:
            self._known_sizes[index] = image_size(self.files[index])
        return self._known_sizes[index]

    @cached_property
    def _known_sizes(self) -> dict[int, tuple[int, ...]]:
        return {}

    def frame(self, index: int) -> Frame:
        """Return how a case's file is resized, and where it lies."""
        _, size = self.shape
        own = self.size_of(index)
        if len(own) != len(size):
            raise InputError(f"{self.files[index]}: expected {len(size)} spatial axes, got {len(own)}")
        return Frame(*placement(own, size, self.policy), affine_of(self.files[index]))

    def fingerprint(self) -> Mapping[str, str]:
        """Return a hash of every file's content with its case, subject and split, and of the boxes."""
        facts = dict(super().fingerprint())
        digest = hashlib.sha256(facts["sha256"].encode())
        for index in range(len(self.cases)):
            truth = self.truth(index)
            digest.update(truth.corners.tobytes() + truth.label.tobytes())
        return {**facts, "sha256": digest.hexdigest()}


def _at(table: Table, line: int, reason: str) -> InputError:
    return InputError(f"{table.path}, line {line}: {reason}")


def _shown(low: Sequence[float] | NDArray[Any], high: Sequence[float] | NDArray[Any]) -> str:
    ends = (f"{axis} {a:g} to {b:g}" for axis, a, b in zip("xyz", low, high, strict=False))
    return f"({', '.join(ends)})"

"""A table (CSV) of images, and a table of boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from fiducial.data.box_lines import ENDS, FLAT, BoxLines
from fiducial.data.boxed import BOXES, BoxedSource
from fiducial.data.boxes import Boxes, Frame
from fiducial.data.columns import is_missing
from fiducial.data.files import FileSource
from fiducial.data.image_header import affine_of, image_size
from fiducial.data.images import placement
from fiducial.data.source import SPLITS, Cases, Spec
from fiducial.data.splits import by_subject, check_fractions
from fiducial.data.table import Table
from fiducial.errors import InputError, nearest


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
        classes: Sequence[str | int] | None = None,
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
        self.table.optional = ("subject", "split")
        self.boxes.optional = (*(self.table.optional if boxes is None else ()), label_column, *ENDS)
        self.path_column, self.label_column = path_column, label_column
        self.unit, self.ends, self.outside, self.learned = unit, ends, outside, target
        self._classes, self.fractions, self.seed = classes, check_fractions(fractions), seed
        self.modality = modality

    # -- images -------------------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """The table's folder."""
        return self.table.root

    @property
    def place(self) -> Path:
        """The CSV file of images."""
        return self.table.path

    @property
    def tables(self) -> Sequence[Path]:
        """The CSV files of images and of boxes."""
        return list(dict.fromkeys([self.table.path, self.boxes.path]))

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

        self.table.refuse_partly_without_subjects()
        names, rows = list(self._lines), list(self._lines.values())
        given = [row.get("subject", "") for row in rows]
        subject = np.array([name if is_missing(who) else who for name, who in zip(names, given, strict=True)])
        label = np.array([int(bool(self.lines.of_case.get(name))) for name in names], np.int64)
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
    def lines(self) -> BoxLines:
        """The lines of the table of boxes."""
        return BoxLines(
            self.boxes,
            alone=self.boxes is not self.table,
            cases=self._lines,
            path_column=self.path_column,
            label_column=self.label_column,
            unit=self.unit,
            closed=self.ends == "closed",
            clip=self.outside == "clip",
        )

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their numbers."""
        return self.lines.names if self._classes is None else tuple(str(name) for name in self._classes)

    def truth(self, index: int) -> Boxes:
        """Return the boxes of a case, in pixels of its file."""
        name = str(self.cases.case[index])
        return self.lines.boxes(name, self.size_of(index), lambda: self.frame(index).affine, self.classes)

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

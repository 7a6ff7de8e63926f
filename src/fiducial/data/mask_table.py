"""A table (CSV) of images and their masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.columns import Columns, Covariates, is_missing
from fiducial.data.dicom.guard import refuse_identifiers
from fiducial.data.formats import decode
from fiducial.data.masked import Entry
from fiducial.data.source import SPLITS, Spec
from fiducial.data.table import Table
from fiducial.data.volume_files import VolumeFiles
from fiducial.data.volumes import is_nifti, volume_size
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MaskTable(VolumeFiles):
    """Read the images and masks that a CSV file names, a line a case.

    Columns: `path` (files of several channels are separated by `|`, with none where one is missing), `mask` (empty for
    a case that nobody labelled), and optionally `region` (a mask of where results count, 0 and 1 or 255), `subject`,
    `split` and `site`. Paths are relative to the table's folder, or absolute. Images are NIfTI volumes or pictures.

    Args:
        path: the CSV file.
        classes: names in the order of the numbers in masks, the background first.
        image_column: name of the column of images.
        mask_column: name of the column of masks.
        columns: further columns, which a network sees beside the image.
        **options: see `VolumeFiles`: fractions, seed, allow_unlabelled, values, modality, cache.

    Raises:
        InputError: a file or column is missing, or a line cannot be used.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        classes: Sequence[str | int] = ("background", "foreground"),
        image_column: str = "path",
        mask_column: str = "mask",
        columns: Columns | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.table = Table(path=path, path_column=image_column, label_column=mask_column, columns=columns)
        self.table.optional = (*self.table.optional, "region")
        self.image_column, self.mask_column = image_column, mask_column
        if len(classes) < 2:
            raise InputError(f"data.source.classes must name the background and at least one class; got {classes}")
        self._classes = tuple(str(name) for name in classes)

    @property
    def root(self) -> Path:
        """The table's folder."""
        return self.table.root

    @property
    def place(self) -> Path:
        """The CSV file of images."""
        return self.table.path

    def look_only(self) -> None:
        """Take cases that are there twice: nothing is learned from them."""
        self.table.look_only()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their numbers."""
        return self._classes

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels: numbers, as many as the first case has."""
        entry = self.entries[0]
        if len(entry.images) > 1:
            return tuple(str(number) for number in range(len(entry.images)))
        size = volume_size(entry.first) if is_nifti(entry.first) else (1, 1, 1, len(decode(entry.first)))
        return tuple(str(number) for number in range(size[3] if len(size) > 3 else 1))

    def check_private(self, settings: Mapping[str, str]) -> None:
        """Refuse what DICOM files say of a person where it would be logged."""
        refuse_identifiers([entry.images for entry in self.entries], lambda: self.cases, settings)

    @property
    def sites(self) -> NDArray[np.str_] | None:
        """The site of each case, where there is a column `site`."""
        return self.table.sites

    @property
    def covariates(self) -> Covariates | None:
        """Values of the further columns."""
        return self.table.covariates

    @cached_property
    def spec(self) -> Spec:
        """What images are like, from the first file, and which columns come with them."""
        covariates = self.covariates
        return replace(super().spec, columns=covariates.features if covariates is not None else ())

    def fingerprint(self) -> Mapping[str, str]:
        """Return a hash of every file's content with its place in its case, of the case, subject, split and columns."""
        return self.table.with_columns(super().fingerprint())

    def listed(self) -> list[Entry]:
        """Return the files of every line."""
        self.table.refuse_repeated()
        self.table.refuse_partly_without_subjects()
        return [self._entry(row) for row in self.table.rows]

    def _entry(self, row: dict[str, str]) -> Entry:
        case = row[self.image_column]
        if not case:
            raise InputError(f"{self.table.path}: a line has no {self.image_column}")
        images = tuple(self.root / part.strip() if part.strip() else None for part in case.split("|"))
        mask, region = (row.get(column, "") for column in (self.mask_column, "region"))
        split = row.get("split", "")
        if "split" in row and split not in SPLITS:
            raise InputError(f"{self.table.path}, case {case}: split must be {', '.join(SPLITS)}; got {split!r}")
        return Entry(
            case=case,
            subject=case if is_missing(row.get("subject", "")) else row["subject"],
            split=split,
            images=images,
            mask=self.root / mask if mask else None,
            region=self.root / region if region else None,
        )

"""Phantoms with columns of a table beside each image."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fiducial.data.columns import Columns, Covariates
from fiducial.data.phantom import Phantom
from fiducial.data.source import Spec
from fiducial.errors import InputError

NAMES = ("age", "marker", "sex", "day")


class PhantomTable(Phantom):
    """Make phantoms with `age`, `marker`, `sex` and `day` (of the image) beside each image.

    The marker of a subject with a lesion is higher, by `effect` standard deviations; it also drifts from day to day.
    The other columns say nothing about the label.

    Args:
        columns: which of them a network sees.
        effect: of a lesion on the marker.
        blank: share of the values of age, marker and sex that are missing.
        **options: see `Phantom`; the target is binary.

    Raises:
        InputError: an option is out of its range.
    """

    def __init__(
        self, *, columns: Columns | None = None, effect: float = 1.5, blank: float = 0.0, **options: Any
    ) -> None:
        super().__init__(**options)
        if self.target != "binary":
            raise InputError("phantom_table takes no data.source.target: it is binary")
        if not 0 <= blank < 1:
            raise InputError(f"phantom_table: blank must be at least 0 and below 1; got {blank}")
        self.columns, self.effect, self.blank = columns or Columns(), effect, blank
        for name in self.columns.needed:
            if name not in NAMES:
                raise InputError(f"phantom_table has the columns {', '.join(NAMES)}; got {name}")
        if self.columns.missing == "drop":
            raise InputError("phantom_table: missing=drop is for tables; phantoms are made, none is left out")

    @cached_property
    def spec(self) -> Spec:
        """What phantoms and their labels are like, and which features come with them."""
        covariates = self.covariates
        return replace(super().spec, columns=covariates.features if covariates is not None else ())

    @cached_property
    def covariates(self) -> Covariates | None:
        """Values of the columns."""
        if not self.columns.names:
            return None
        return self.columns.read(list(enumerate(self._rows)), Path("phantom_table"), self.cases.subject.tolist())

    @cached_property
    def _rows(self) -> list[dict[str, str]]:
        import numpy as np

        rng = np.random.default_rng([self.seed, 5])
        rows: list[dict[str, str]] = []
        for label in self.cases.label[:: self.images_per_subject].tolist():
            age, marker, sex = rng.normal(60, 12), rng.normal(self.effect * label), rng.choice(["f", "m"])
            for image in range(self.images_per_subject):
                day = 30 * image + int(rng.integers(10))
                values = {"age": f"{age:.1f}", "marker": f"{marker + 0.01 * day:.3f}", "sex": str(sex)}
                rows.append(
                    {**{k: v if rng.random() >= self.blank else "" for k, v in values.items()}, "day": f"{day}"}
                )
        return rows

    _options = (*Phantom._options, "effect", "blank")

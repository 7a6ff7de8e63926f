"""The gate that a run passes before it learns: a table that can be trusted, splits that share nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.data.checks import check
from fiducial.data.leakage import (
    NEAR_LIMIT,
    SHARED_SUBJECTS,
    VALUES_LIMIT,
    check_allowed,
    find_twins,
    in_lots,
    kinds,
    leaks,
    refuse,
)
from fiducial.data.source import Cases, Spec

Read = Callable[[int], NDArray[Any]]


class Gate:
    """Refuses cases whose splits share what they may not share.

    Args:
        allow: kinds of leaks that do not stop a run.
        full: look at every image, however long it takes.
    """

    def __init__(self, allow: Sequence[str], *, full: bool) -> None:
        self.allow, self.full = check_allowed(allow), full
        self.leaks: dict[str, list[str]] | None = None  # what was found and allowed; None before it was looked for
        self.looked_for = "nothing"  # in the images: or equal ones, or equal and near ones

    def check_table(self, cases: Cases, spec: Spec, place: Path | str | None = None, *, alone: bool = False) -> None:
        """Refuse a table of cases that cannot be trusted.

        Args:
            cases: the table.
            spec: what images are like.
            place: the file that says so, if any.
            alone: nothing is learned from them, so that splits may be empty and share subjects.

        Raises:
            InputError: a label out of its range, an empty split, a subject in two of them.
        """
        check(cases, spec, allow_shared_subjects=alone or SHARED_SUBJECTS in self.allow, place=place, alone=alone)

    def check_images(
        self,
        cases: Cases,
        spec: Spec,
        pixels: NDArray[Any] | None,
        image: Read,
        mask: Callable[[int], NDArray[Any] | None] | None,
    ) -> None:
        """Refuse splits that share images, once; as far as it can be told quickly or is asked for.

        Args:
            cases: the table.
            spec: what images are like.
            pixels: all images, where they are one array.
            image: reads the image of a case.
            mask: reads the mask of a case, where there are any.

        Raises:
            InputError: they share some, and that is not allowed.
        """
        if self.leaks is not None:
            return
        near = self.full or len(cases) <= NEAR_LIMIT
        images: Iterable[NDArray[Any]] = ()
        if pixels is not None:
            images = in_lots(pixels)
        elif self.full or len(cases) * spec.channels * math.prod(spec.size) <= VALUES_LIMIT:
            images = (np.asarray(image(row))[None] for row in range(len(cases)))
        if images != ():
            self.looked_for = "exact and near duplicates" if near else "exact duplicates"
        found = leaks(cases, find_twins(images, kinds(cases), near=near), mask)
        refuse(found, self.allow)
        self.leaks = found

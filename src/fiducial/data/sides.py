"""Directions in a patient: what mirroring does to the names of classes, and the plane across the body."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fiducial.data.augment import Sides
from fiducial.errors import InputError

_OTHER = {"left": "right", "right": "left"}
_WORD = re.compile(r"(?<![A-Za-z])(left|right)(?![A-Za-z])")


def sides_of(flips: Sequence[int], *, axes: str | None, dims: int, classes: Sequence[str]) -> Sides | None:
    """Return what mirroring a patient from side to side does, or None where no flip does so.

    Args:
        flips: spatial axes along which images are mirrored.
        axes: where each spatial axis leads, such as RAS; None for pictures, whose last axis runs from side to side.
        dims: number of spatial axes.
        classes: their names.

    Raises:
        InputError: there is no such axis, a class has no partner on the other side, or classes have sides and nobody
            knows where the axes of a volume lead.
    """
    if wrong := [flip for flip in flips if not -dims <= flip < dims]:
        raise InputError(f"images have {dims} axes to mirror, 0 to {dims - 1}; got {wrong[0]}")
    if flips and dims == 3 and axes is None and (sided := [name for name in classes if _WORD.search(name.lower())]):
        raise InputError(
            f"volumes cannot be mirrored: class {sided[0]!r} has a side, and which axis leads from side to side is not "
            "known. Give data.prepare.orientation, such as RAS, or leave out the flips"
        )
    across = next((number for number, letter in enumerate(axes or "") if letter in "LR"), dims - 1)
    mirrored = any(flip % dims == across for flip in flips)
    return Sides(across, mirrored_classes(classes)) if mirrored else None


def axial_plane(axes: str | None) -> tuple[int, int] | None:
    """Return the two axes that do not lead from the feet to the head; None where nobody knows.

    >>> axial_plane("RAS"), axial_plane("SPL")
    ((0, 1), (1, 2))
    """
    if axes is None:
        return None
    first, second = (number for number, letter in enumerate(axes) if letter not in "SI")
    return first, second


def mirrored_classes(classes: Sequence[str]) -> tuple[int, ...]:
    """Return the number that each class has in a mirrored patient: the left lung's is the right lung's.

    >>> mirrored_classes(["background", "left lung", "right lung", "heart"])
    (0, 2, 1, 3)

    Raises:
        InputError: a class has a side, and there is none for the other side.
    """
    lower = [name.lower() for name in classes]
    partners = [_WORD.sub(lambda found: _OTHER[found[1]], name) for name in lower]
    if alone := [name for name, partner in zip(classes, partners, strict=True) if partner not in lower]:
        raise InputError(
            f"images cannot be mirrored from left to right: class {alone[0]!r} has a side, and there is no "
            f"class for the other one (classes: {', '.join(classes)}). Leave that axis out of the flips"
        )
    return tuple(lower.index(partner) for partner in partners)

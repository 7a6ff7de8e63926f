"""Directions in a patient: what mirroring does to the names of classes, and the plane across the body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from fiducial.data.augment import Sides
from fiducial.errors import InputError, nearest

Partners = Literal["auto", "none"] | Sequence[str]  # which classes lie on two sides of a patient, two by two

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\w\s-]")  # of "LeftLung", "left_lung" and "kidney_L"
_OTHER = {"left": "right", "right": "left"}
_LETTER = {"l": "r", "r": "l"}
_HEART = re.compile(r"heart|card|atrium|atrial", re.IGNORECASE)  # whose left and right are no mirror images
_VENTRICLE = re.compile(r"ventric", re.IGNORECASE)
_BRAIN = re.compile(r"lateral|brain|cerebral", re.IGNORECASE)


def sides_of(
    flips: Sequence[int],
    *,
    axes: str | None,
    dims: int,
    classes: Sequence[str],
    partners: Partners = "auto",
    turned: bool = True,
) -> Sides | None:
    """Return what mirroring a patient from side to side does, or None where no flip does so.

    Args:
        flips: spatial axes along which images are mirrored.
        axes: where each spatial axis leads, such as RAS; None for pictures, whose last axis runs from side to side.
        dims: number of spatial axes.
        classes: their names.
        partners: which of them lie on two sides, see `mirrored_classes`.
        turned: whether `data.prepare` could turn the images.

    Raises:
        InputError: there is no such axis, a class has no partner on the other side, or classes have sides and nobody
            knows where the axes of a volume lead.
    """
    if wrong := [flip for flip in flips if not -dims <= flip < dims]:
        raise InputError(f"images have {dims} axes to mirror, 0 to {dims - 1}; got {wrong[0]}")
    if flips and dims == 3 and axes is None and (sided := sided_classes(classes, partners)):
        hint = "Give data.prepare.orientation, such as RAS, or leave" if turned else "Leave"
        raise InputError(
            f"volumes cannot be mirrored: class {sided[0]!r} has a side, and which axis leads from side to side is not "
            f"known. {hint} out the flips"
        )
    across = next((number for number, letter in enumerate(axes or "") if letter in "LR"), dims - 1)
    mirrored = any(flip % dims == across for flip in flips)
    return Sides(across, mirrored_classes(classes, partners)) if mirrored else None


def axial_plane(axes: str | None) -> tuple[int, int] | None:
    """Return the two axes that do not lead from the feet to the head; None where nobody knows.

    >>> axial_plane("RAS"), axial_plane("SPL")
    ((0, 1), (1, 2))
    """
    if axes is None:
        return None
    first, second = (number for number, letter in enumerate(axes) if letter not in "SI")
    return first, second


def mirrored_classes(classes: Sequence[str], partners: Partners = "auto") -> tuple[int, ...]:
    """Return the number that each class has in a mirrored patient: the left lung's is the right lung's.

    >>> mirrored_classes(["background", "left lung", "right lung", "heart"])
    (0, 2, 1, 3)
    >>> mirrored_classes(["background", "a", "b"], ["a", "b"])
    (0, 2, 1)

    Args:
        classes: their names.
        partners: two by two; "none"; or "auto" for what the names say, see `_partner`.

    Raises:
        InputError: a class has a side, and there is none for the other side; or a name does not tell.
    """
    check_partners(partners, classes)
    if isinstance(partners, str):
        found = [_words(name) for name in classes]
        others = [_partner(name, classes, found) if partners == "auto" else None for name in classes]
        return tuple(n if other is None else found.index(other) for n, other in enumerate(others))
    left, right = partners[::2], partners[1::2]
    other_of = dict(zip([*left, *right], [*right, *left], strict=True))
    return tuple(list(classes).index(other_of.get(name, name)) for name in classes)


def sided_classes(classes: Sequence[str], partners: Partners = "auto") -> list[str]:
    """Return the classes that lie on one side of a patient."""
    if partners == "auto":
        found = [_words(name) for name in classes]
        return [name for name in classes if _swapped(name, found) is not None]
    return [] if partners == "none" else list(partners)


def check_partners(partners: Partners, classes: Sequence[str]) -> None:
    """Refuse classes that are not two by two, and names that there are not.

    Raises:
        InputError: naming them.
    """
    if isinstance(partners, str):
        if partners not in ("auto", "none"):
            raise InputError(f"data.sides must be auto, none, or classes two by two; got {partners}")
        return
    if unknown := [name for name in partners if name not in classes]:
        raise InputError(
            f"data.sides: {unknown[0]!r} is none of the classes {', '.join(classes)}{nearest(unknown[0], classes)}"
        )
    if len(partners) % 2 or len(set(partners)) < len(partners):
        raise InputError(
            f"data.sides must be classes two by two, as in [left lung,right lung]; got [{', '.join(partners)}]"
        )


def _partner(name: str, classes: Sequence[str], found: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return the words of a class's partner on the other side, or None for one without a side.

    Raises:
        InputError: it has a side, and there is no such partner, or it may be of the heart.
    """
    other = _swapped(name, found)
    if other is None:
        return None
    if _VENTRICLE.search(name) and not _BRAIN.search(name):
        raise InputError(
            f"images cannot be mirrored from left to right: class {name!r} has a partner there in a brain, and none in "
            "a heart, whose sides are no mirror images. Say which: data.sides=none, or those that are exchanged, "
            "data.sides=[left ventricle,right ventricle]"
        )
    if other not in found:
        raise InputError(
            f"images cannot be mirrored from left to right: class {name!r} has a side, and there is no "
            f"class for the other one (classes: {', '.join(classes)}). Leave that axis out of the flips, or name the "
            "pairs of classes by data.sides, none if there are none"
        )
    return other


def _swapped(name: str, found: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return the words of a class with left and right exchanged; None where they do not speak of sides.

    A letter L or R, as first or last word or before the first one ("lkid"), does so where there is such a class.
    """
    words = _words(name)
    if _HEART.search(name):
        return None
    if any(word in _OTHER for word in words):
        return tuple(_OTHER.get(word, word) for word in words)
    first, last = words[0], words[-1]
    guesses = [(_LETTER[first], *words[1:])] if first in _LETTER else []
    guesses += [(*words[:-1], _LETTER[last])] if last in _LETTER else []
    guesses += [(_LETTER[first[0]] + first[1:], *words[1:])] if first[0] in _LETTER and len(first) > 3 else []
    return next((guess for guess in guesses if guess in found), None)


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(name)) or (name.lower(),)

"""What makes a test result look better than it is: images that two splits share, and labels that contradict.

Twins       equal and nearly equal images of a source, whatever the splits
leaks       what of it, and of the subjects, crosses splits or contradicts
refuse      stops a run that has leaks which nobody allowed by name
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fiducial.data.checks import shared_subjects, some
from fiducial.data.dicom.guard import IDENTIFIERS
from fiducial.data.perceptual import Looks, joined, looks, near_pairs
from fiducial.data.source import Cases
from fiducial.errors import InputError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Leak = Literal["shared_subjects", "exact_duplicates", "near_duplicates", "conflicting_labels", "identifiers"]
SHARED_SUBJECTS, EXACT, NEAR, CONFLICTING = LEAKS = (
    "shared_subjects",
    "exact_duplicates",
    "near_duplicates",
    "conflicting_labels",
)
MEANING = {
    SHARED_SUBJECTS: "a subject in more than one split",
    EXACT: "equal images in different splits",
    NEAR: "nearly equal images in different splits",
    CONFLICTING: "equal images with different labels",
}
NEAR_LIMIT = 3000  # cases up to which every run looks for near duplicates: the cost grows with the square
VALUES_LIMIT = 2**27  # pixels up to which every run reads images that are not at hand as one array
CHUNK_BYTES = 2**24


@dataclass(frozen=True)
class Twins:
    """Images of a source that are equal, or show the same.

    Attributes:
        equal: rows of equal images, a group of two or more an entry.
        near: rows of pairs that are nearly, but not quite, equal, `(pairs, 2)`.
        correlation: of each of these pairs, `(pairs,)`.
        with_near: whether near ones were looked for.
    """

    equal: list[NDArray[np.int64]]
    near: NDArray[np.int64]
    correlation: NDArray[np.float32]
    with_near: bool


def find_twins(images: Iterable[NDArray[Any]], kind: Sequence[int], *, near: bool) -> Twins:
    """Return the images that are equal, and with `near` also those that nearly are; not those that show nothing.

    Args:
        images: lots of them in the order of the cases, `(images, channels, *spatial)`. Lots may differ in size.
        kind: of each image, see `near_pairs`; it may be filled while the images are read.
        near: whether to compare what they show.
    """
    import numpy as np

    digests: list[str] = []
    seen: list[Looks] = []
    for lot in images:
        blank = lot.reshape(len(lot), -1).min(axis=1) == lot.reshape(len(lot), -1).max(axis=1)
        digests += [f"blank {len(digests) + n}" if blank[n] else digest(image) for n, image in enumerate(lot)]
        if near:
            seen.append(looks(lot))
    names, group = np.unique(np.array(digests, np.str_), return_inverse=True)
    counts = np.bincount(group, minlength=len(names))
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(counts)[:-1])
    equal = sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))
    pairs, correlation = (
        near_pairs(joined(seen), kind) if seen else (np.empty((0, 2), np.int64), np.empty(0, np.float32))
    )
    differ = group[pairs[:, 0]] != group[pairs[:, 1]]
    return Twins(equal, pairs[differ], correlation[differ], near)


def kinds(cases: Cases) -> list[int]:
    """Return a number for each case that is the same for cases of one class, or of the same several."""
    import numpy as np

    numbers: list[int] = np.unique(cases.label, axis=0, return_inverse=True)[1].ravel().tolist()
    return numbers


def digest(image: NDArray[Any]) -> str:
    """Return a hash of an image's shape, type and pixels, as 32 hexadecimal digits."""
    import numpy as np

    state = hashlib.blake2b(f"{image.shape}{image.dtype.str}".encode(), digest_size=16)
    state.update(np.ascontiguousarray(image).data)
    return state.hexdigest()


def in_lots(pixels: NDArray[Any]) -> Iterable[NDArray[Any]]:
    """Yield an array of images in lots that fit into memory."""
    size = max(1, CHUNK_BYTES // max(1, pixels[:1].nbytes))
    for start in range(0, len(pixels), size):
        yield pixels[start : start + size]


def leaks(
    cases: Cases, twins: Twins, mask_of: Callable[[int], NDArray[np.uint8] | None] | None = None
) -> dict[str, list[str]]:
    """Return what must not be, by kind: a text for each subject, group or pair; kinds without any are left out.

    Args:
        cases: with their splits.
        twins: images that are equal, or nearly so.
        mask_of: gives the mask of a row, or None for one that nobody has labelled; None where there are labels.
    """
    found: dict[str, list[str]] = {SHARED_SUBJECTS: shared_subjects(cases), EXACT: [], NEAR: [], CONFLICTING: []}
    for rows in twins.equal:
        if len(set(cases.split[rows].tolist())) > 1:
            found[EXACT].append(" = ".join(f"{cases.case[row]} ({cases.split[row]})" for row in rows))
        if len({str(label) for label in cases.label[rows].tolist() if label != -1}) > 1:
            found[CONFLICTING].append(" = ".join(f"{cases.case[row]} (label {cases.label[row]})" for row in rows))
        if mask_of is not None:
            found[CONFLICTING] += _differing(cases, rows, mask_of)
    for first, second in twins.near:
        if cases.split[first] != cases.split[second]:
            names = (f"{cases.case[row]} ({cases.split[row]})" for row in (first, second))
            found[NEAR].append(" ≈ ".join(names))
    return {kind: texts for kind, texts in found.items() if texts}


def _differing(cases: Cases, rows: NDArray[np.int64], mask_of: Callable[[int], NDArray[np.uint8] | None]) -> list[str]:
    """Return the pairs of equal images, each with the first of its group, whose masks differ, with their Dice."""
    first, reference, found = 0, None, []
    for row in rows.tolist():
        mask = mask_of(row)
        if mask is None:
            continue
        if reference is None:
            first, reference = row, mask
        elif (dice := agreement(reference, mask)) < 1:
            found.append(f"{cases.case[first]} = {cases.case[row]} (Dice of their masks {dice:.3g})")
    return found


def agreement(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return the Dice of two masks of classes: twice the pixels of the same class over those of any, 0 left out.

    It is 1 only for masks that are equal, two empty ones among them, and 0 for masks of different shapes.
    """
    import numpy as np

    if first.shape != second.shape:
        return 0.0
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    same = int(np.count_nonzero((first == second) & (first > 0)))
    return 2 * same / total if total else 1.0


def check_allowed(allow: Sequence[str]) -> tuple[str, ...]:
    """Return the names of what is allowed.

    Raises:
        InputError: there is no such leak.
    """
    for name in allow:
        if name not in (*LEAKS, IDENTIFIERS):
            names = (*LEAKS, IDENTIFIERS)
            raise InputError(f"data.allow: expected {', '.join(names)}; got {name}{nearest(name, names)}")
    return tuple(allow)


def refuse(found: dict[str, list[str]], allow: Sequence[str]) -> None:
    """Stop on leaks, unless their kind is allowed by name.

    Raises:
        InputError: naming them.
    """
    wrong = {kind: texts for kind, texts in found.items() if kind not in allow}
    if not wrong:
        return
    lines = [f"{MEANING[kind]} ({len(texts)}): {some(texts)}" for kind, texts in wrong.items()]
    names = ",".join(kind for kind in LEAKS if kind in wrong or kind in allow)
    raise InputError(
        "the splits leak, a test result would mislead: " + "; ".join(lines) + ". Leave such cases out or give them one "
        f"subject (`fiducial inspect data=…` shows all), or allow it by name: data.allow=[{names}]"
    )

"""One case with masks as arrays: image, mask, region and geometry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Stored = Mapping[float, int]  # class number of each value in the files of masks

TOLERANCE = 0.1  # of a voxel, by which the corners of a mask and its image may differ
MAX_CLASSES = 255


@dataclass(frozen=True)
class Sample:
    """One case as its files have it, or as it was prepared.

    Attributes:
        image: `(channels, *spatial)`, uint8 (0..255) or float32 (in the units of the file: HU for CT).
        mask: class number of each pixel, `(*spatial)` uint8; None for a case that nobody has labelled.
        region: where the truth is known and results count (a field of view), `(*spatial)` bool; None: everywhere.
        affine: from array indices to mm, x to the patient's right, y to the front, z to the head (RAS+), `(4, 4)`
            float64; None for pictures, whose pixels have no size.
        absent: numbers of channels that the case lacks; they are 0 in the image.
    """

    image: NDArray[Any]
    mask: NDArray[np.uint8] | None = None
    region: NDArray[np.bool_] | None = None
    affine: NDArray[np.float64] | None = None
    absent: tuple[int, ...] = ()

    @property
    def size(self) -> tuple[int, ...]:
        """Extent along each spatial axis."""
        return tuple(self.image.shape[1:])

    @cached_property
    def spacing(self) -> tuple[float, ...]:
        """Distance of neighbours along each axis in mm; 1 (a pixel) for pictures."""
        import numpy as np

        if self.affine is None:
            return (1.0,) * len(self.size)
        return tuple(np.linalg.norm(self.affine[:3, :3], axis=0).tolist())


def with_gaps(image: NDArray[Any], absent: tuple[int, ...]) -> NDArray[Any]:
    """Return an image whose channels are those given, and zeros at the numbers of those that are absent."""
    import numpy as np

    whole = np.zeros((len(image) + len(absent), *image.shape[1:]), image.dtype)
    whole[[number for number in range(len(whole)) if number not in absent]] = image
    return whole


def as_mask(
    values: NDArray[Any], num_classes: int, place: Path | str, stored: Stored | None = None
) -> NDArray[np.uint8]:
    """Return class numbers as uint8.

    Args:
        values: as the file has them.
        num_classes: how many classes there are.
        place: the file, for messages.
        stored: class number of each value that a file may have; by default values are class numbers.

    Raises:
        InputError: a value stands for no class.
    """
    import numpy as np

    found = np.unique(values)
    if stored is not None:
        return _numbered(values, found, stored, place)
    whole = np.isfinite(found) & (found == np.round(found))
    if not whole.all():
        raise InputError(f"{place}: a mask holds class numbers; found {found[~whole][0]}")
    if found[0] < 0 or found[-1] >= num_classes:
        hint = _hint(found, num_classes)
        raise InputError(f"{place}: expected class numbers 0 to {num_classes - 1}, found {_listed(found)}. {hint}")
    return values.astype(np.uint8)


def _numbered(values: NDArray[Any], found: NDArray[Any], stored: Stored, place: Path | str) -> NDArray[np.uint8]:
    import numpy as np

    if set(found.tolist()) - set(stored):
        raise InputError(f"{place}: expected the values {_listed(stored)} in a mask, found {_listed(found)}")
    numbers: NDArray[np.uint8] = np.array([stored[value] for value in found.tolist()], np.uint8)
    return numbers[np.searchsorted(found, values)]


def _listed(values: Iterable[float]) -> str:
    """Return the first few of several values."""
    return ", ".join(f"{value:g}" for value in list(values)[:10])


def _hint(found: NDArray[Any], num_classes: int) -> str:
    """Return which option fits the values of a mask that are none of the classes' numbers."""
    if found[0] >= 0 and found[-1] < min(MAX_CLASSES, num_classes + len(found)):  # numbers, with hardly a gap
        return f"If these are classes, data.source.classes names all of them, {int(found[-1]) + 1} or more, in order"
    return (
        "Where files hold other values, data.source.values names that of each class, in order: "
        f"{_suggested(found, num_classes)}"
    )


def _suggested(found: NDArray[Any], num_classes: int) -> str:
    """Return the option that fits the values of a mask, or an example of it."""
    values = found.tolist()
    if len(values) != num_classes:
        values = [255 * number // max(1, num_classes - 1) for number in range(num_classes)]
    return f"data.source.values=[{','.join(f'{value:g}' for value in values)}]"


def check_same_grid(
    image: tuple[tuple[int, ...], NDArray[np.float64] | None],
    mask: tuple[tuple[int, ...], NDArray[np.float64] | None],
    name: str,
    *,
    other: str = "mask",
) -> None:
    """Refuse a mask, or another image, that does not lie on the grid of an image; each is given by size and affine.

    Raises:
        InputError: another shape, or a corner that lies elsewhere.
    """
    import numpy as np

    if image[0] != mask[0]:
        raise InputError(f"{name}: the image has the shape {image[0]}, the {other} {mask[0]}")
    if image[1] is None or mask[1] is None:
        return
    ends = [(0, extent - 1) for extent in image[0]]
    corners = np.stack([*(axis.ravel() for axis in np.meshgrid(*ends)), np.ones(8)])
    distance = np.linalg.norm(((image[1] - mask[1]) @ corners)[:3], axis=0).max()
    if distance > TOLERANCE * np.linalg.norm(image[1][:3, :3], axis=0).min():
        raise InputError(
            f"{name}: {other} and image have the same shape but another geometry: their corners are up to "
            f"{distance:.3g} mm apart. The affines are {_rows(image[1])} and {_rows(mask[1])}"
        )


def _rows(affine: NDArray[np.float64]) -> str:
    return str([[round(float(value), 4) for value in row] for row in affine[:3]])

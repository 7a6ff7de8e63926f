"""CHASE_DB1: fundus photographs of both eyes of 14 children, with vessels (Fraz et al., IEEE TBME 59:2538, 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.drive import CLASSES, VesselPictures
from fiducial.data.masked import Entry, require_files
from fiducial.data.source import Spec
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PLACES = ("CHASE_DB1", "CHASEDB1")
NUM_CHILDREN, NUM_TRAINING = 14, 10
DARK = 12  # 8-bit luminance below which a pixel is not part of the eye


class ChaseDb1(VesselPictures):
    """Read CHASE_DB1 from `<folder>/CHASE_DB1/Image_01L.jpg`, `Image_01L_1stHO.png` and `Image_01L_2ndHO.png`.

    The photographs of children 1 to 10 train and validate, those of 11 to 14 test, as most authors have it. The set
    has no fields of view: the largest part that is not dark, without its holes, is taken.

    Args:
        folder: the data folder.
        **options: see `VesselPictures`: validation, seed, cache.

    Raises:
        InputError: a file is missing.
    """

    def __init__(self, *, folder: str | Path, **options: Any) -> None:
        super().__init__(**options)
        self.folder = Path(folder)

    @cached_property
    def root(self) -> Path:
        """The folder of the photographs."""
        places = [self.folder / name for name in PLACES]
        found = next((place for place in places if place.is_dir()), None)
        if found is None:
            raise InputError(f"CHASE_DB1 is neither in {places[0]} nor in {places[1]} (data_dir=… or FIDUCIAL_DATA)")
        return found

    @cached_property
    def spec(self) -> Spec:
        """What photographs are like: known, nothing is read."""
        return Spec(3, 2, (960, 999), "mask", CLASSES, modality="colour fundus photograph")

    @cached_property
    def entries(self) -> Sequence[Entry]:
        """The files of every case; both eyes belong to one subject."""
        entries = [self._entry(child, eye) for child in range(1, NUM_CHILDREN + 1) for eye in "LR"]
        require_files(entries)
        return self._with_validation(entries)

    def _entry(self, child: int, eye: str) -> Entry:
        name = f"Image_{child:02d}{eye}"
        second = self.root / f"{name}_2ndHO.png"
        return Entry(
            case=f"{child:02d}{eye}",
            subject=f"{child:02d}",
            split="train" if child <= NUM_TRAINING else "test",
            images=(self.root / f"{name}.jpg",),
            mask=self.root / f"{name}_1stHO.png",
            observers=(("second observer", second),) if second.is_file() else (),
        )

    def _region(self, entry: Entry, image: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
        return field_of_view(image)


def field_of_view(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the largest part of a colour photograph that is not dark, without its holes, `(rows, columns)`."""
    import numpy as np
    from scipy import ndimage

    parts, count = ndimage.label(image.mean(axis=0) > DARK)
    if not count:
        return np.zeros(image.shape[1:], np.bool_)
    largest = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    whole: NDArray[np.bool_] = ndimage.binary_fill_holes(largest)
    return whole

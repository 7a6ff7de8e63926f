"""DRIVE: colour fundus photographs with vessel masks (Staal et al., IEEE TMI 23:501, 2004)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.formats import decode
from fiducial.data.masked import Entry, MaskedFiles, drawn_subjects, require_files
from fiducial.data.sample import Sample, check_same_grid
from fiducial.data.source import Spec
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLASSES = ("background", "vessel")


class VesselPictures(MaskedFiles):
    """Fundus photographs with a vessel mask in black and white, and perhaps a field of view.

    Args:
        validation: share of the training subjects that validate.
        seed: of their draw.
        cache: folder for prepared cases and hashes.
    """

    def __init__(self, *, validation: float = 0.2, seed: int = 0, cache: str | Path | None = None) -> None:
        super().__init__(cache=cache)
        if not 0 < validation < 1:
            raise InputError(f"data.source.validation must be between 0 and 1; got {validation}")
        self.validation, self.seed = validation, seed

    def _with_validation(self, entries: Sequence[Entry]) -> list[Entry]:
        """Draw the subjects that validate from those that train."""
        chosen = drawn_subjects(
            [entry.subject for entry in entries if entry.split == "train"], self.validation, self.seed
        )
        return [replace(entry, split="val") if entry.subject in chosen else entry for entry in entries]

    def sample(self, index: int) -> Sample:
        """Return a photograph with its vessels and field of view."""
        entry = self.entries[index]
        image = decode(entry.first)
        mask = None if entry.mask is None else self._flags(entry.mask, image, entry.case)
        return Sample(image, mask, self._region(entry, image))

    def _region(self, entry: Entry, image: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
        return None if entry.region is None else self._flags(entry.region, image, entry.case).astype(bool)

    def _flags(self, file: Path, image: NDArray[np.uint8], case: str) -> NDArray[np.uint8]:
        """Return a black and white picture as 0 and 1."""
        import numpy as np

        flags: NDArray[np.uint8] = (decode(file)[0] > 127).astype(np.uint8)
        check_same_grid((image.shape[1:], None), (flags.shape, None), f"case {case}, {file}")
        return flags

    def observers(self, index: int) -> dict[str, NDArray[np.uint8]]:
        """Return the vessels as others drew them."""
        entry = self.entries[index]
        image = decode(entry.first)
        return {name: self._flags(file, image, entry.case) for name, file in entry.observers}


class Drive(VesselPictures):
    """Read DRIVE from `<folder>/DRIVE/{training,test}/{images,1st_manual,2nd_manual,mask}`.

    20 photographs train and validate, 20 test, as published; results count inside the field of view, against the
    first observer. The set cannot be downloaded without an account: https://drive.grand-challenge.org.

    Args:
        folder: the data folder.
        **options: see `VesselPictures`: validation, seed, cache.

    Raises:
        InputError: a file is missing.
    """

    def __init__(self, *, folder: str | Path, **options: Any) -> None:
        super().__init__(**options)
        self._root = Path(folder) / "DRIVE"

    @property
    def root(self) -> Path:
        """The folder of `training` and `test`."""
        return self._root

    @cached_property
    def spec(self) -> Spec:
        """What photographs are like: known, nothing is read."""
        return Spec(3, 2, (584, 565), "mask", CLASSES, modality="colour fundus photograph")

    @cached_property
    def entries(self) -> Sequence[Entry]:
        """The files of every case."""
        if not (self.root / "training" / "images").is_dir():
            raise InputError(
                f"DRIVE is not in {self.root}: expected {self.root}/training/images. It is given out at "
                "https://drive.grand-challenge.org; unpack it into the data folder (data_dir=… or FIDUCIAL_DATA)"
            )
        entries = [self._entry("training", number) for number in range(21, 41)]
        entries += [self._entry("test", number) for number in range(1, 21)]
        require_files(entries)
        return self._with_validation(entries)

    def _entry(self, part: str, number: int) -> Entry:
        folder = self.root / part
        second = folder / "2nd_manual" / f"{number:02d}_manual2.gif"
        return Entry(
            case=f"{number:02d}",
            subject=f"{number:02d}",
            split={"training": "train", "test": "test"}[part],
            images=(folder / "images" / f"{number:02d}_{part}.tif",),
            mask=folder / "1st_manual" / f"{number:02d}_manual1.gif",
            region=folder / "mask" / f"{number:02d}_{part}_mask.gif",
            observers=(("second observer", second),) if second.is_file() else (),
        )

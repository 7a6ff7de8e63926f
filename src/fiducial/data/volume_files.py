"""What sources of volumes in files share: reading, splits, classes."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fiducial.data.checks import some
from fiducial.data.formats import decode
from fiducial.data.masked import Entry, MaskedFiles, require_files, with_splits
from fiducial.data.sample import Sample, Stored, check_same_grid, with_gaps
from fiducial.data.source import Spec
from fiducial.data.splits import check_fractions
from fiducial.data.volumes import is_nifti, read_picture_mask, read_volumes, volume_axes, volume_size
from fiducial.errors import InputError

REGION: Stored = {0: 0, 1: 1, 255: 1}  # what files of regions may hold


class VolumeFiles(MaskedFiles):
    """Cases of NIfTI volumes, or of pictures, with a mask of class numbers each.

    Args:
        fractions: share of subjects in train, val and test.
        seed: of the draw of the split.
        allow_unlabelled: keep cases without a mask: they add nothing to loss and scores, and are predicted in a test.
        allow_incomplete: keep cases that lack the file of a channel; see `data.fill` for what stands for it.
        values: that of each class in the files of masks, in the order of the classes ([0, 255]); by default values are
            class numbers.
        modality: as a person would say it.
        cache: folder for prepared cases and hashes.

    Raises:
        InputError: two classes have one value.
    """

    def __init__(
        self,
        *,
        fractions: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        allow_unlabelled: bool = False,
        allow_incomplete: bool = False,
        values: Sequence[int] | None = None,
        modality: str = "",
        cache: str | Path | None = None,
    ) -> None:
        super().__init__(cache=cache)
        self.fractions, self.seed, self.modality = check_fractions(fractions), seed, modality
        self.allow_unlabelled, self.allow_incomplete = allow_unlabelled, allow_incomplete
        self.values = None if values is None else [int(value) for value in values]
        if self.values is not None and len(set(self.values)) < len(self.values):
            raise InputError(f"data.source.values: expected another value for each class; got {self.values}")

    @property
    @abstractmethod
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.channels

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their numbers."""

    @property
    def ignored(self) -> int | None:
        """Number in masks of pixels whose class is not known."""
        return None

    @cached_property
    def stored(self) -> Stored | None:
        """The class number of each value in the files of masks; None where values are class numbers without a gap."""
        if self.values is None:
            known = range(len(self.classes))
            return (
                None if self.ignored is None else {**dict(zip(known, known, strict=True)), self.ignored: self.ignored}
            )
        expected = [*self.classes, *([] if self.ignored is None else ["ignored"])]
        if len(self.values) != len(expected):
            raise InputError(
                f"data.source.values: expected a value for each class ({', '.join(expected)}); got {self.values}"
            )
        numbers = [*range(len(self.classes)), *([] if self.ignored is None else [self.ignored])]
        return dict(zip(self.values, numbers, strict=True))

    def identity(self, index: int) -> str:
        """Return a hash of what a case's files are and how their values are read."""
        known = super().identity(index)
        return known if self.values is None else hashlib.sha256(f"{known} {self.values}".encode()).hexdigest()

    @abstractmethod
    def listed(self) -> list[Entry]:
        """Return the files of every case; a mask that is not there is None."""

    @cached_property
    def entries(self) -> Sequence[Entry]:
        """The files of every case, their splits drawn."""
        entries = self.listed()
        if not entries:
            raise InputError(f"{self.root}: there is no case")
        self._check_complete(entries)
        require_files(entries)
        unlabelled = [entry.case for entry in entries if entry.mask is None]
        if unlabelled and not self.allow_unlabelled:
            more = f" and {len(unlabelled) - 5} more" if len(unlabelled) > 5 else ""
            raise InputError(
                f"{self.root}: there is no mask of {', '.join(unlabelled[:5])}{more}; such cases are kept, and add "
                "nothing to loss and scores, by data.source.allow_unlabelled=true"
            )
        return entries if all(entry.split for entry in entries) else with_splits(entries, self.fractions, self.seed)

    def _check_complete(self, entries: Sequence[Entry]) -> None:
        """Refuse cases that lack a channel unless they are allowed, and those that lack all."""
        lacking = [entry for entry in entries if entry.absent]
        if lacking and not self.allow_incomplete:
            raise InputError(
                f"{self.root}: there is no file of some channels of {some([entry.case for entry in lacking])}; such "
                "cases are kept, their missing channels filled as data.fill says, by data.source.allow_incomplete=true"
            )
        if empty := [entry.case for entry in lacking if len(entry.absent) == len(entry.images)]:
            raise InputError(f"{self.root}: there is no image of {some(empty)}")

    @cached_property
    def spec(self) -> Spec:
        """What images are like, from the description of the set and the header of the first file."""
        first = self.entries[0].first
        size, axes = (volume_size(first)[:3], volume_axes(first)) if is_nifti(first) else (decode(first).shape[1:], "")
        return Spec(len(self.channels), len(size), size, "mask", self.classes, modality=self.modality, axes=axes)

    def sample(self, index: int) -> Sample:
        """Return one case."""
        import numpy as np

        entry = self.entries[index]
        count = len(self.classes) if self.ignored is None else max(len(self.classes), self.ignored + 1)
        read = read_volumes if is_nifti(entry.first) else _read_pictures
        images = [file for file in entry.images if file is not None]
        sample = read(images, entry.mask, count, entry.case, self.stored)
        if entry.absent:
            sample = replace(sample, image=with_gaps(sample.image, entry.absent), absent=entry.absent)
        if len(sample.image) != len(self.channels):
            raise InputError(
                f"case {entry.case}: expected {len(self.channels)} channels ({', '.join(self.channels)}), "
                f"found {len(sample.image)}"
            )
        if entry.region is not None:
            place = read(images, entry.region, 2, entry.case, REGION)
            sample = replace(sample, region=np.asarray(place.mask, np.bool_))
        if self.ignored is None or sample.mask is None:
            return sample
        known = sample.mask != self.ignored
        region = known if sample.region is None else known & sample.region
        return replace(sample, mask=np.where(known, sample.mask, 0).astype(np.uint8), region=region)


def _read_pictures(
    images: Sequence[Path], mask: Path | None, num_classes: int, case: str, stored: Stored | None = None
) -> Sample:
    import numpy as np

    channels = [decode(file) for file in images]
    for file, channel in zip(images, channels, strict=True):
        place = f"case {case}, {file.name} beside {images[0].name}"
        check_same_grid((channels[0].shape[1:], None), (channel.shape[1:], None), place, other="other")
    image = np.concatenate(channels)
    if mask is None:
        return Sample(image)
    truth = read_picture_mask(mask, num_classes, stored)
    check_same_grid((image.shape[1:], None), (truth.shape, None), f"case {case}, {mask.name}")
    return Sample(image, truth)


def read_description(path: Path) -> dict[str, Any]:
    """Return the content of a `dataset.json`.

    Raises:
        InputError: it is missing, or not JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such description of a data set") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a data set's description in JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object in JSON, got {type(content).__name__}")
    return content


def numbered_names(numbers: dict[str, Any], path: Path, what: str) -> tuple[str, ...]:
    """Return names in the order of their numbers, from `{"0": "background", …}` or `{"background": 0, …}`.

    Raises:
        InputError: the numbers are not 0, 1, 2, ….
    """
    pairs = [(name, number) if str(name).isdecimal() else (number, name) for name, number in numbers.items()]
    if regions := [name for number, name in pairs if isinstance(number, list)]:
        raise InputError(f"{path}: {what} {regions[0]!r} is a region of several numbers; each class needs one number")
    found = {int(number): str(name) for number, name in pairs}
    if sorted(found) != list(range(len(pairs))):
        raise InputError(f"{path}: {what} must be numbered 0, 1, 2, …; got {sorted(found)}")
    return tuple(found[number] for number in sorted(found))

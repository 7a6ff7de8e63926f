"""MedNIST: 58,954 small images of six kinds, the set of MONAI's first tutorial."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fiducial.data.archive import unpack
from fiducial.data.download import fetch, known_hashes
from fiducial.data.files import FileSource
from fiducial.data.source import Cases, Spec
from fiducial.data.splits import by_subject, check_fractions
from fiducial.errors import InputError

URL = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/MedNIST.tar.gz"
MD5 = "0bc7306e7427e00ad1c5526a6677552d"
CLASSES = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")
NUM_IMAGES = 58_954


class MedNIST(FileSource):
    """Read MedNIST from `<folder>/MedNIST/<class>/*.jpeg`, or from `<folder>/MedNIST.tar.gz`, downloaded if missing.

    The set names no subjects: every image counts as its own, except that equal files are one subject, named after the
    first of them. The split is drawn, a tenth each for validation and test as in the tutorial, stratified by class.

    Args:
        folder: the data folder.
        cache: folder for the unpacked archive and the decoded images.
        size: rows and columns, in pixels; the files have 64 of each.
        channels: 1, or 3 to repeat the grey.
        fractions: share of subjects in train, val and test.
        seed: of the draw.
        download: fetch the archive if it is missing.
        **options: see `FileSource`: policy, intensity, pack.

    Raises:
        InputError: the images are not there, or not all of them.
    """

    def __init__(
        self,
        *,
        folder: str | Path,
        cache: str | Path,
        size: Sequence[int] = (64, 64),
        channels: int = 1,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        download: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(size=size, channels=channels, cache=cache, **options)
        self.folder, self.fractions, self.seed = Path(folder), check_fractions(fractions), seed
        self.download, self._known = download, (channels, tuple(size))

    @cached_property
    def spec(self) -> Spec:
        """What images are like: known, nothing is read."""
        channels, size = self._known  # `shape` would look for the files
        return Spec(channels, len(size), size, "multiclass", CLASSES, modality="X-ray, CT and MRI")

    @cached_property
    def root(self) -> Path:
        """The folder of the six class folders, unpacked from the archive if need be."""
        if self._is_unpacked:
            return self.folder / "MedNIST"
        assert self.cache is not None
        unpacked = self.cache / "MedNIST"
        if not unpacked.is_dir():
            unpack(self._archive, unpacked, _with_classes, f"the folders {', '.join(CLASSES)}")
        return unpacked

    @property
    def _is_unpacked(self) -> bool:
        return all((self.folder / "MedNIST" / name).is_dir() for name in CLASSES)

    @property
    def _archive(self) -> Path:
        archive = self.folder / "MedNIST.tar.gz"
        if archive.is_file():
            return archive
        if not self.download:
            raise InputError(
                f"MedNIST is neither in {self.folder / 'MedNIST'} nor in {archive}; it is offered at {URL}"
            )
        return fetch(URL, archive, md5=MD5)

    @cached_property
    def files(self) -> list[Path]:
        """The image of each case, class by class."""
        files = [Path(entry) for name in CLASSES for entry in sorted(_jpegs(self.root / name))]
        if len(files) != NUM_IMAGES:
            raise InputError(f"{self.root}: expected MedNIST's {NUM_IMAGES:,} images, found {len(files):,}")
        return files

    @cached_property
    def cases(self) -> Cases:
        """The table of cases."""
        import numpy as np

        case = np.array([f"{file.parent.name}/{file.name}" for file in self.files])
        number_of = {name: number for number, name in enumerate(CLASSES)}
        label = np.array([number_of[file.parent.name] for file in self.files], np.int64)
        first: dict[str, str] = {}
        names = zip(self._content_hashes, case.tolist(), strict=True)
        subject = np.array([first.setdefault(content, name) for content, name in names])
        split = by_subject(subject, label, fractions=self.fractions, seed=self.seed)
        return Cases(case=case, subject=subject, split=split, label=label)

    def check_private(self, settings: Mapping[str, str]) -> None:
        """Look at nothing: the archive's files are JPEG, and need not be there yet."""

    def fingerprint(self) -> Mapping[str, str]:
        """Return the hash of the content, and whether the archive is the official one."""
        archive = self.folder / "MedNIST.tar.gz"
        official = not self._is_unpacked and archive.is_file() and known_hashes(archive, self.cache)["md5"] == MD5
        return {**super().fingerprint(), "archive": "official" if official else "not the official archive"}


def _jpegs(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.name.lower().endswith((".jpeg", ".jpg"))]


def _with_classes(folder: Path) -> Path | None:
    return next((place for place in (folder / "MedNIST", folder) if (place / CLASSES[0]).is_dir()), None)

"""Folders of images, one a class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fiducial.data.files import FileSource
from fiducial.data.formats import SUFFIXES, stem_of
from fiducial.data.source import SPLITS, Cases, Spec, Target
from fiducial.data.splits import by_subject, check_fractions
from fiducial.data.subject_pattern import pattern, subject_in, subject_pattern
from fiducial.errors import InputError

LIKE_SPLITS = ("train", "training", "trainset", "val", "valid", "validation", "test", "testing", "testset")
MASK = re.compile(r"(.*?)([ _-](?:mask|seg|segmentation|label|annotation|gt))(?:[ _-]?\d+)?$", re.IGNORECASE)


class ImageFolder(FileSource):
    """Read `<root>/<class>/*.png`, or `<root>/{train,val,test}/<class>/*.png`.

    Args:
        root: the folder.
        subject: regular expression whose first group, searched for in the file name, is the subject; by default
            every image is a subject of its own.
        exclude: regular expression; files in whose name it is found are left out, such as masks beside their images.
        fractions: share of subjects in train, val and test, where folders do not say.
        seed: of the draw of the split.
        modality: as a person would say it.
        **options: see `FileSource`: size, channels, policy, intensity, cache, pack.

    Raises:
        InputError: there is no such folder, not every split or no class in it, a class without images, a name
            without subject, or a mask beside its image.
    """

    def __init__(
        self,
        *,
        root: str | Path,
        subject: str | None = None,
        exclude: str | None = None,
        fractions: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        modality: str = "",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._root = Path(root).expanduser()
        self.subject = subject_pattern(subject) if subject else None
        self.exclude = pattern("exclude", exclude) if exclude else None
        self.fractions, self.seed, self.modality = check_fractions(fractions), seed, modality
        if not self._root.is_dir():
            raise InputError(f"data.source.root must be a folder of images; {self._root} is not one")

    @property
    def root(self) -> Path:
        """The folder."""
        return self._root

    @cached_property
    def spec(self) -> Spec:
        """What images are like: from the names of folders, and the first image where size or channels are open."""
        channels, size = self.shape
        target: Target = "binary" if len(self.classes) == 2 else "multiclass"
        return Spec(channels, len(size), size, target, self.classes, modality=self.modality)

    @cached_property
    def _has_splits(self) -> bool:
        found = [split for split in SPLITS if (self.root / split).is_dir()]
        if not found and (others := [path.name for path in self.root.iterdir() if path.name.lower() in LIKE_SPLITS]):
            names = " and ".join(sorted(others))
            raise InputError(
                f"{self.root} has a folder {names}, which would be a class: folders of splits are {', '.join(SPLITS)}"
            )
        if 0 < len(found) < len(SPLITS):
            raise InputError(
                f"{self.root} has a folder {' and '.join(found)}: expected all of {', '.join(SPLITS)}, or none of them"
            )
        return bool(found)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders, in alphabetical order."""
        parents = [self.root / split for split in SPLITS] if self._has_splits else [self.root]
        names = {folder.name for parent in parents for folder in parent.iterdir() if folder.is_dir()}
        names = {name for name in names if not name.startswith(".")}
        if len(names) < 2:
            found = ", ".join(sorted(names)) or "none"
            raise InputError(f"{self.root} must hold a folder for each of at least two classes; found: {found}")
        return tuple(sorted(names))

    @cached_property
    def _found(self) -> list[tuple[Path, str, int]]:
        """File, split ("" if open) and class number of every case."""
        found = []
        for split in SPLITS if self._has_splits else ("",):
            for number, name in enumerate(self.classes):
                inside = (file for file in _files_in(self.root / split / name) if _is_image(file))
                found += [(file, split, number) for file in sorted(inside) if not self._is_excluded(file)]
        if missing := set(range(len(self.classes))) - {number for _, _, number in found}:
            names = ", ".join(self.classes[number] for number in sorted(missing))
            raise InputError(f"{self.root}: no image in the folder of class {names}")
        _refuse_masks([file for file, _, _ in found])
        return found

    def _is_excluded(self, file: Path) -> bool:
        return self.exclude is not None and self.exclude.search(file.name) is not None

    @cached_property
    def files(self) -> list[Path]:
        """The image of each case."""
        return [file for file, _, _ in self._found]

    @cached_property
    def cases(self) -> Cases:
        """The table of cases."""
        import numpy as np

        case = np.array([file.relative_to(self.root).as_posix() for file in self.files])
        subject = np.array([self._subject_of(file) for file in self.files])
        label = np.array([number for _, _, number in self._found], np.int64)
        if self._has_splits:
            split = np.array([split for _, split, _ in self._found])
        else:
            split = by_subject(subject, label, fractions=self.fractions, seed=self.seed)
        return Cases(case=case, subject=subject, split=split, label=label)

    def _subject_of(self, file: Path) -> str:
        if self.subject is None:
            return file.relative_to(self.root).as_posix()
        return subject_in(file.name, self.subject, file)


def _files_in(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the files in a folder and in those inside it; links are followed, unless they lead back."""
    here = folder.resolve()
    if here in above:
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files_in(entry, (*above, here))
        else:
            yield entry


def _refuse_masks(files: Sequence[Path]) -> None:
    """Refuse masks that lie beside the images that they are of, and would be cases themselves.

    Raises:
        InputError: naming the first pair.
    """
    stems = {(file.parent, stem_of(file)) for file in files}
    for file in files:
        found = MASK.match(stem_of(file))
        if found and (file.parent, found[1]) in stems:
            raise InputError(
                f"{file} seems to be a mask of {found[1]} beside it, and would be a case of its own: take masks away, "
                f"or leave them out by data.source.exclude='{found[2]}'"
            )


def _is_image(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES) and not file.name.startswith(".")

"""A data set in nnU-Net's raw format."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from fiducial.data.masked import Entry
from fiducial.data.subject_pattern import subject_in, subject_pattern
from fiducial.data.volume_files import VolumeFiles, numbered_names, read_description
from fiducial.errors import InputError


class NnunetRaw(VolumeFiles):
    """Read `<root>/dataset.json`, `<root>/imagesTr/<case>_<channel>.<ending>` and `<root>/labelsTr/<case>.<ending>`.

    Both versions of `dataset.json` are read. A label named `ignore` marks pixels whose class is not known: they add
    nothing to loss and scores. Labels made of several numbers (regions) are refused.

    Args:
        root: the folder, such as nnUNet_raw/Dataset004_Hippocampus.
        subject: regular expression whose first group, searched for in the case, is the subject; by default every
            case is a subject of its own.
        **options: see `VolumeFiles`: fractions, seed, allow_unlabelled, modality, cache.

    Raises:
        InputError: the folder is not in this format.
    """

    def __init__(self, *, root: str | Path, subject: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._root = Path(root).expanduser()
        self.subject = subject_pattern(subject) if subject else None

    @property
    def root(self) -> Path:
        """The folder."""
        return self._root

    @property
    def _file(self) -> Path:
        return self.root / "dataset.json"

    @cached_property
    def _description(self) -> dict[str, Any]:
        content = read_description(self._file)
        if "labels" not in content or not content.keys() & {"channel_names", "modality"}:
            raise InputError(f"{self._file}: expected labels and channel_names; got {', '.join(content)}")
        return content

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        content = self._description
        return numbered_names(content.get("channel_names") or content["modality"], self._file, "channels")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their numbers."""
        labels = {name: number for name, number in self._description["labels"].items() if name != "ignore"}
        return numbered_names(labels, self._file, "classes")

    @cached_property
    def ignored(self) -> int | None:
        """Number of the label `ignore`."""
        number = self._description["labels"].get("ignore")
        return None if number is None else int(number)

    def listed(self) -> list[Entry]:
        """Return the files of every case in `imagesTr`."""
        ending = self._description.get("file_ending", ".nii.gz")
        numbers = range(len(self.channels) if self.allow_incomplete else 1)
        files = (file for number in numbers for file in (self.root / "imagesTr").glob(f"*_{number:04d}{ending}"))
        names = {file.name[: -len(ending) - 5] for file in files}
        return [self._entry(case, ending) for case in sorted(names)]

    def _entry(self, case: str, ending: str) -> Entry:
        files = [self.root / "imagesTr" / f"{case}_{number:04d}{ending}" for number in range(len(self.channels))]
        images = [file if file.is_file() or not self.allow_incomplete else None for file in files]
        mask = self.root / "labelsTr" / f"{case}{ending}"
        return Entry(case, self._subject_of(case), "", tuple(images), mask if mask.is_file() else None)

    def _subject_of(self, case: str) -> str:
        if self.subject is None:
            return case
        return subject_in(case, self.subject, f"case {case}")

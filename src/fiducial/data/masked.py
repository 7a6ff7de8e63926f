"""The contract of sources whose cases have masks: what each case is, where it lies, and how a prediction is written."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.pack import key_of
from fiducial.data.sample import Sample
from fiducial.data.source import Cases, Source
from fiducial.data.splits import by_subject
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MaskedSource(Source):
    """Cases of images and masks, which may differ in size. `Cases.label` is 0 throughout."""

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """Return one case as its files have it.

        Raises:
            InputError: a file cannot be used; it is named.
        """

    @abstractmethod
    def identity(self, index: int) -> str:
        """Return a hash that changes when the content of a case does, told without reading all of it."""

    @property
    def cache(self) -> Path | None:
        """Folder for prepared cases, or None to prepare them anew in every process."""
        return None

    def read(self, index: int) -> NDArray[Any]:
        """Return the image of one case, `(channels, *spatial)`."""
        return self.sample(index).image

    def observers(self, index: int) -> Mapping[str, NDArray[np.uint8]]:
        """Return masks of a case by other people than the one who gave the truth, by name."""
        return {}


@dataclass(frozen=True)
class Entry:
    """The files of one case.

    Attributes:
        case: unique id.
        subject: the patient.
        split: "train", "val" or "test", or empty where it is to be drawn.
        images: a file a channel, or one file of all channels; None for a channel that the case lacks.
        mask: class numbers; None for a case that nobody has labelled.
        region: where results count; None: everywhere.
        observers: masks by other people, by name.
    """

    case: str
    subject: str
    split: str
    images: tuple[Path | None, ...]
    mask: Path | None = None
    region: Path | None = None
    observers: tuple[tuple[str, Path], ...] = ()

    @property
    def files(self) -> list[Path]:
        """All that the case is read from."""
        return [file for file in (*self.images, self.mask, self.region) if file is not None]

    @property
    def first(self) -> Path:
        """The first file of the image."""
        return next(file for file in self.images if file is not None)

    @property
    def absent(self) -> tuple[int, ...]:
        """Numbers of the channels that the case lacks."""
        return tuple(number for number, file in enumerate(self.images) if file is None)


class MaskedFiles(MaskedSource):
    """Cases that are files.

    Args:
        cache: folder for prepared cases and hashes.
    """

    def __init__(self, *, cache: str | Path | None = None) -> None:
        self._cache = None if cache is None else Path(cache)

    @property
    def cache(self) -> Path | None:
        """Folder for prepared cases."""
        return self._cache

    @property
    @abstractmethod
    def root(self) -> Path:
        """Folder that file names are told relative to."""

    @cached_property
    @abstractmethod
    def entries(self) -> Sequence[Entry]:
        """The files of every case, their splits known."""

    @cached_property
    def cases(self) -> Cases:
        """The table of cases."""
        import numpy as np

        columns = ([getattr(entry, name) for entry in self.entries] for name in ("case", "subject", "split"))
        case, subject, split = (np.array(column, np.str_) for column in columns)
        return Cases(case, subject, split, np.zeros(len(case), np.int64))

    def identity(self, index: int) -> str:
        """Return a hash of the names, sizes and times of change of a case's files."""
        entry = self.entries[index]
        lacking = {"absent": entry.absent} if entry.absent else {}
        return key_of(entry.files, self.root, {"classes": self.spec.classes, **lacking})

    @cached_property
    def present(self) -> NDArray[np.bool_] | None:
        """Which channels each case has, where some lack one."""
        import numpy as np

        if not any(entry.absent for entry in self.entries):
            return None
        return np.array([[file is not None for file in entry.images] for entry in self.entries])

    def fingerprint(self) -> Mapping[str, str]:
        """Return a hash of every file's content with its place in its case, the case, subject and split."""
        from fiducial.data.download import known_hashes

        digest = hashlib.sha256()
        for entry in self.entries:
            files = (*entry.images, entry.mask, entry.region)
            hashes = ["" if file is None else known_hashes(file, self.cache)["sha256"] for file in files]
            digest.update("\0".join([entry.case, entry.subject, entry.split, *hashes]).encode() + b"\n")
        return {"sha256": digest.hexdigest(), "files": str(sum(len(entry.files) for entry in self.entries))}


def require_files(entries: Sequence[Entry]) -> None:
    """Refuse a table of cases some of whose files are missing.

    Raises:
        InputError: naming them.
    """
    missing = [str(file) for entry in entries for file in entry.files if not file.is_file()]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(f"these files are missing: {', '.join(missing[:5])}{more}")


def drawn_subjects(subjects: Sequence[str], share: float, seed: int) -> set[str]:
    """Draw a share of the subjects, at least one; the result does not depend on their order."""
    import numpy as np

    names = sorted(set(subjects))
    count = max(1, round(share * len(names)))
    return {names[number] for number in np.random.default_rng(seed).permutation(len(names))[:count]}


def with_splits(entries: Sequence[Entry], fractions: Sequence[float], seed: int) -> list[Entry]:
    """Draw the split of each entry by its subject."""
    import numpy as np

    subject = np.array([entry.subject for entry in entries])
    drawn = by_subject(subject, np.zeros(len(subject), np.int64), fractions=fractions, seed=seed)
    return [replace(entry, split=split) for entry, split in zip(entries, drawn.tolist(), strict=True)]

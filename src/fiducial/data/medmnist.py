"""MedMNIST v2: eighteen sets of small images and volumes (Yang et al., Scientific Data 10:41, 2023)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.download import fetch, verify
from fiducial.data.medmnist_sets import RECORD, SETS, Facts, file_name
from fiducial.data.source import SPLITS, Cases, Source, Spec
from fiducial.data.unpack import unpacked
from fiducial.errors import InputError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGE = 2**30  # bytes of pixels beyond which a set is mapped from the cache folder, instead of read into memory


class MedMNIST(Source):
    """Read an official MedMNIST file, downloading it when it is not in the data folder.

    MedMNIST names no subjects, so every image counts as its own subject: intervals over subjects are
    intervals over images, and patients with several images cannot be told apart.

    Args:
        name: one of the 18 sets, in lower case ("breastmnist").
        folder: data folder; the file is `<folder>/medmnist/NAME.npz` or `<folder>/NAME.npz`.
        size: pixels along each axis: 28, 64, 128 or 224 for images, 28 or 64 for volumes.
        cache: folder for what is derived from the file: large sets are unpacked into it, and mapped; without one
            they are read into memory, and the checksum is taken each time.
        download: fetch the file when it is missing.

    Raises:
        InputError: no such set, or not at this size.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: str | Path,
        size: int = 28,
        cache: str | Path | None = None,
        download: bool = True,
    ) -> None:
        if name not in SETS:
            raise InputError(f"MedMNIST has no set {name!r}{nearest(name, SETS)} (available: {', '.join(SETS)})")
        if size not in SETS[name].md5:
            sizes = ", ".join(str(available) for available in SETS[name].md5)
            raise InputError(f"{name} comes at sizes {sizes}; got {size}")
        self.name = name
        self.folder = Path(folder)
        self.size = size
        self.cache = None if cache is None else Path(cache)
        self.download = download

    @property
    def facts(self) -> Facts:
        """What is known of the set before its file is read."""
        return SETS[self.name]

    @cached_property
    def spec(self) -> Spec:
        """What images and labels are like: a look-up, no file is touched."""
        facts = self.facts
        return Spec(
            channels=facts.channels,
            spatial_dims=facts.spatial_dims,
            size=(self.size,) * facts.spatial_dims,
            target=facts.target,
            classes=facts.classes,
            modality=facts.modality,
        )

    @cached_property
    def path(self) -> Path:
        """The file, found or downloaded, with its checksum verified.

        Raises:
            InputError: the file is missing and may not or cannot be downloaded, or is not the official one.
        """
        path = self._find()
        verify(path, self.facts.md5[self.size], cache=self.cache)
        return path

    @property
    def is_at_hand(self) -> bool:
        """Whether the file is there, and small enough to be held in memory."""
        return any(path.is_file() for path in self._places) and self._num_bytes <= LARGE

    @property
    def _places(self) -> tuple[Path, Path]:
        name = file_name(self.name, self.size)
        return self.folder / "medmnist" / name, self.folder / name

    def _find(self) -> Path:
        for path in self._places:
            if path.is_file():
                return path
        wanted, other = self._places
        name = wanted.name
        url = f"{RECORD}/{name}?download=1"
        if not self.download:
            raise InputError(f"{wanted}: no such file, nor {other}; it is offered at {url}")
        return fetch(url, wanted, md5=self.facts.md5[self.size])

    @cached_property
    def cases(self) -> Cases:
        """The table of cases in the official splits: train, val, test."""
        import numpy as np

        labels = [self._member(f"{split}_labels") for split in SPLITS]
        counts = [len(part) for part in labels]
        names = [f"{self.name}/{split}/{i:04d}" for split, n in zip(SPLITS, counts, strict=True) for i in range(n)]
        label = np.concatenate(labels).astype(np.int64)
        case = np.array(names)
        flat = label if self.facts.target == "multilabel" else label.reshape(-1)
        return Cases(case=case, subject=case, split=np.repeat(np.array(SPLITS), counts), label=flat)

    def read(self, index: int) -> NDArray[Any]:
        """Return the image of one case, `(channels, *spatial)` uint8."""
        image: NDArray[np.uint8] = self.pixels()[index]
        return image

    def pixels(self) -> NDArray[np.uint8]:
        """Return all images, `(cases, channels, *spatial)` uint8, in the order of the cases."""
        return self._images

    @cached_property
    def _images(self) -> NDArray[np.uint8]:
        import numpy as np

        keys = [f"{split}_images" for split in SPLITS]
        if (cache := self.cache) is not None and self._num_bytes > LARGE:
            name = f"{self.path.stem}-{self.facts.md5[self.size][:12]}"
            return self._channels_first(self._readable(lambda: unpacked(self.path, keys, name, cache), "images"))
        return np.concatenate([self._channels_first(self._member(key)) for key in keys])

    @property
    def _num_bytes(self) -> int:
        facts = self.facts
        return sum(facts.num_cases) * facts.channels * int(self.size**facts.spatial_dims)

    def _channels_first(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return images as `(cases, channels, *spatial)`; the file has channels last, or none."""
        import numpy as np

        if self.facts.channels == 1:
            return images[:, None]
        return np.moveaxis(images, -1, 1)

    def _member(self, key: str) -> NDArray[Any]:
        """Return one array of the file, without ever unpickling.

        Raises:
            InputError: the file lacks the array, or is damaged.
        """
        import numpy as np

        def read() -> NDArray[Any]:
            # Opened here: NumPy leaves a damaged file open.
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                return np.asarray(file[key])

        return self._readable(read, key)

    def _readable(self, read: Callable[[], NDArray[Any]], what: str) -> NDArray[Any]:
        try:
            return read()
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{self.path}: cannot read {what}: {error}") from error

    def fingerprint(self) -> Mapping[str, str]:
        """Return the hashes of the file."""
        found = verify(self.path, self.facts.md5[self.size], cache=self.cache)
        return {"sha256": found["sha256"], "md5": found["md5"], "file": self.path.name, "source": RECORD}
